import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Cgroups, openCgroups } from '../../src/cgroups/cgroups.ts'
import { groupProperties } from '../../src/cgroups/properties.ts'
import { reserveOf } from '../../src/cgroups/reserve.ts'
import { type CgroupRoot, makeCgroupRoot } from '../_util/cgroup.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type Logged, recordLog } from './logged.ts'

const NAMES = ['ptys', 'socats', 'user'] as const
const PAGE = 4096
const MEMORY = { total: totalmem(), used: 100 * 2 ** 20 }

interface Opened extends Logged {
  readonly cgroups: Cgroups
}

async function opened(cgroupRoot: string, noCgroups = false): Promise<Opened> {
  const logged = recordLog()
  const cgroups = await openCgroups({ cgroupRoot, noCgroups }, MEMORY, logged.log)
  onTestFinished(cgroups.close)
  return { ...logged, cgroups }
}

function freshRoot(): CgroupRoot {
  const root = makeCgroupRoot()
  onTestFinished(() => root[Symbol.asyncDispose]())
  return root
}

function targetOf(fd: number | undefined): string {
  return readlinkSync(`/proc/self/fd/${fd}`)
}

/** What comes of the usual root in a mount namespace that a shell command has changed; `as` runs it as another user. */
function atUsualRoot(prepare: string, as = ''): unknown {
  const script = join(import.meta.dirname, 'fixtures/open-usual.ts')
  const command = `${prepare} && exec ${as} "$0" "$1"`
  return JSON.parse(
    execFileSync('unshare', ['-m', 'sh', '-c', command, process.execPath, script], { encoding: 'utf8' }),
  )
}

test('H1 makes the three cgroups, opens them, and lets go of them at the end', async (context) => {
  needsCgroups(context)
  const root = freshRoot()
  const { cgroups } = await opened(root.path)
  expect(root.groups()).toEqual([...NAMES])
  expect(cgroups.root).toBe(root.path)
  for (const name of NAMES) expect(targetOf(cgroups.descriptor(name))).toBe(`${root.path}/${name}`)
  await cgroups.close()
  await cgroups.close()
  expect(NAMES.map((name) => cgroups.descriptor(name))).toEqual([undefined, undefined, undefined])
  const left = readdirSync('/proc/self/fd').map((fd) => existsSync(`/proc/self/fd/${fd}`) && targetOf(Number(fd)))
  expect(left.filter((target) => target !== false && target.startsWith(root.path))).toEqual([])
  expect(root.groups()).toEqual([...NAMES])
})

test('H2 in a real cgroup each property whose controller is there is set, and the others are reported in one line', async (context) => {
  needsCgroups(context)
  const root = freshRoot()
  const { lines } = await opened(root.path)
  const missing: string[] = []
  for (const name of NAMES) {
    for (const [file, value] of groupProperties(MEMORY.total - reserveOf(MEMORY.total, MEMORY.used))[name]) {
      if (!existsSync(`${root.path}/${name}/${file}`)) missing.push(`${name}/${file}`)
      else if (file.startsWith('memory.')) expect(root.read(`${name}/${file}`)).toBe(String(inPages(Number(value))))
      else expect(root.read(`${name}/${file}`)).toBe(value)
    }
  }
  const line = { level: 'info', fields: { root: root.path, files: missing.join(' ') } }
  expect(lines).toEqual(missing.length === 0 ? [] : [line])
})

function inPages(bytes: number): number {
  return Math.floor(bytes / PAGE) * PAGE
}

test('cgroups that are there already, of a daemon before or beside this one, are used with what runs in them', async (context) => {
  needsCgroups(context)
  const root = freshRoot()
  const first = await opened(root.path)
  mkdirSync(`${root.path}/user/inner`)
  const second = await opened(root.path)
  expect(second.cgroups.root).toBe(root.path)
  expect(second.lines).toEqual(first.lines)
  expect(root.groups()).toEqual(['ptys', 'socats', 'user', 'user/inner'])
})

test('a cgroup that was removed is made anew, once for all who ask at a time; any other trouble is left alone', async (context) => {
  needsCgroups(context)
  const root = freshRoot()
  const { cgroups, lines } = await opened(root.path)
  expect(await cgroups.recreate('user', 'EBUSY')).toBe(false)
  rmdirSync(`${root.path}/user`)
  const before = lines.length
  expect(await Promise.all([cgroups.recreate('user', 'ENODEV'), cgroups.recreate('user', 'ENOENT')])).toEqual([
    true,
    true,
  ])
  expect(lines.slice(before)).toEqual([{ level: 'info', fields: { group: 'user' } }])
  expect(targetOf(cgroups.descriptor('user'))).toBe(`${root.path}/user`)
  expect(readFileSync(`${targetOf(cgroups.descriptor('user'))}/cgroup.procs`, 'latin1')).toBe('')
  await cgroups.close()
  expect(await cgroups.recreate('user', 'ENODEV')).toBe(false)
})

test('where a cgroup cannot be made there is none at all, with a warning', async (context) => {
  needsCgroups(context)
  const root = freshRoot()
  root.write('cgroup.max.descendants', '1')
  const { cgroups, lines } = await opened(root.path)
  expect([cgroups.root, cgroups.descriptor('ptys'), cgroups.descriptor('user')]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
  expect(lines).toEqual([{ level: 'warn', fields: { root: root.path, reason: 'EAGAIN' } }])
})

test('H1 at a root that is no cgroup2, or missing, there are none and nothing is made; a root that was named deserves a warning', async () => {
  await using directory = await makeTmpDir()
  for (const [root, reason] of [
    [directory.path, 'no cgroup2'],
    [`${directory.path}/missing`, 'ENOENT'],
  ] as const) {
    const { cgroups, lines } = await opened(root)
    expect([cgroups.root, cgroups.descriptor('user')]).toEqual([undefined, undefined])
    expect(lines).toEqual([{ level: 'warn', fields: { root, reason } }])
  }
  expect(readdirSync(directory.path)).toEqual([])
})

test('H1 with -no-cgroups there are none, and the line is no warning', async () => {
  const { cgroups, lines } = await opened('/sys/fs/cgroup', true)
  expect(cgroups.root).toBe(undefined)
  expect(lines).toEqual([{ level: 'info', fields: { reason: 'switched off' } }])
})

const none = (reason: string) => ({ lines: [{ level: 'info', fields: { root: '/sys/fs/cgroup', reason } }] })

test('H1 with cgroups of version 1 at the usual root, or nothing, there are none, which is no warning', (context) => {
  needsCgroups(context)
  expect(atUsualRoot('umount --lazy /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup')).toEqual(none('no cgroup2'))
  expect(atUsualRoot('umount --lazy /sys/fs/cgroup')).toEqual(none('no cgroup2'))
})

test('H1 with a cgroup2 at the usual root that is read-only, or belongs to others, there are none, which is no warning', (context) => {
  needsCgroups(context)
  // A root where the cgroups are not there yet, as a test beside this one has made them in the namespace's own.
  const root = freshRoot()
  const fresh = `mount --bind ${root.path} /sys/fs/cgroup`
  expect(atUsualRoot(`${fresh} && mount -o remount,bind,ro /sys/fs/cgroup`)).toEqual(none('EROFS'))
  expect(atUsualRoot(fresh, 'setpriv --reuid 1000 --regid 1000 --clear-groups')).toEqual(none('EACCES'))
  expect(root.groups()).toEqual([])
})
