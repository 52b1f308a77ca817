import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ownChain } from '../../../src/cgroups/freeze/own-group.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

interface Recorded {
  /** Of /proc/self/cgroup. */
  readonly cgroup: string
  /** [cgroup that is mounted, where below the directory that stands for /sys/fs/cgroup, type]; nothing: `/` on it. */
  readonly mounts?: readonly (readonly [from: string, at: string, type?: string])[]
  /** Below that directory. */
  readonly root?: string
}

async function chain({ cgroup, mounts = [['/', '']], root = '' }: Recorded): Promise<string[] | undefined> {
  await using dir = await makeTmpDir()
  const tree = `${dir.path}/with space`
  mkdirSync(`${tree}/${root}`, { recursive: true })
  const lines = mounts.map(
    ([from, at, type = 'cgroup2'], index) =>
      `${30 + index} 1 0:${index} ${from} ${`${tree}${at}`.replaceAll(' ', '\\040')} rw,nosuid shared:4 - ${type} cgroup2 rw`,
  )
  writeFileSync(`${dir.path}/cgroup`, `${cgroup}\n`)
  writeFileSync(`${dir.path}/mountinfo`, `21 1 8:1 / / rw - ext4 /dev/root rw\n${lines.join('\n')}\n`)
  const found = await ownChain(`${tree}${root}`, dir.path)
  return found === undefined ? undefined : [...found]
}

test.each<[string, Recorded, string[] | undefined]>([
  ['the root', { cgroup: '0::/' }, ['']],
  ['a service', { cgroup: '0::/system.slice/envd.service' }, ['', 'system.slice', 'system.slice/envd.service']],
  ['version 1 beside it', { cgroup: '9:name=systemd:/x\n4:memory:/y\n0::/a' }, ['', 'a']],
  ['a root below the mount, the daemon in it', { cgroup: '0::/a/b/c', root: '/a' }, ['', 'b', 'b/c']],
  ['a root below the mount, the daemon elsewhere', { cgroup: '0::/tests', root: '/a' }, ['']],
  ['a root below the mount, the daemon above it', { cgroup: '0::/', root: '/a' }, ['']],
  ['a root whose name begins like the daemon’s', { cgroup: '0::/ab', root: '/a' }, ['']],
  ['a mount of a part, the daemon in it', { cgroup: '0::/docker/1/x', mounts: [['/docker/1', '']] }, ['', 'x']],
  ['a mount of a part, the daemon elsewhere', { cgroup: '0::/docker/2', mounts: [['/docker/1', '']] }, ['']],
  [
    'the innermost of several mounts',
    {
      cgroup: '0::/a/b',
      root: '/in',
      mounts: [
        ['/', ''],
        ['/a', '/in'],
      ],
    },
    ['', 'b'],
  ],
  ['no version 2', { cgroup: '4:memory:/y', mounts: [['/', '', 'cgroup']] }, undefined],
  ['no mount of version 2', { cgroup: '0::/', mounts: [['/', '', 'cgroup']] }, undefined],
  ['outside of the namespace', { cgroup: '0::/../other' }, undefined],
  ['a mount from outside of the namespace', { cgroup: '0::/', mounts: [['/..', '']] }, undefined],
  ['removed', { cgroup: '0::/gone (deleted)' }, undefined],
])('H4 the daemon’s own groups are reported: %s', async (_, recorded, expected) => {
  expect(await chain(recorded)).toEqual(expected)
})

test('H4 a daemon that cannot look at itself knows no group', async () => {
  await using dir = await makeTmpDir()
  expect(await ownChain(dir.path, `${dir.path}/missing`)).toBeUndefined()
})
