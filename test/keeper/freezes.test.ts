import { mkdirSync } from 'node:fs'
import { beforeEach, expect, test } from 'vitest'
import { freezeFor, type KeptFreeze } from '../../src/cgroups/freeze/kept-freeze.ts'
import { createWorkload } from '../../src/cgroups/freeze/workload.ts'
import { makeCgroupRoot } from '../_util/cgroup.ts'
import { sendWhole } from '../_util/http.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { recordingLog } from '../_util/recording-log.ts'
import { shell } from '../_util/rpc.ts'
import { crash, startKept, upgrade } from './crash.ts'

beforeEach((context) => needsCgroups(context))

const EXCHANGES = [
  ['a crash', crash],
  ['an upgrade', upgrade],
] as const

const post = async (url: string, path: string) => (await sendWhole(`${url}${path}`, { method: 'POST' })).status

test.each(EXCHANGES)(
  'H5 H7 a freeze of the hierarchy is thawed after %s, but for what the guest froze',
  async (_, exchange) => {
    await using root = makeCgroupRoot()
    for (const group of ['guest', 'other']) mkdirSync(`${root.path}/${group}`)
    root.write('guest/cgroup.freeze', '1')
    await using daemon = await startKept({ args: ['-cgroup-root', root.path] })
    expect(await post(daemon.url, '/freeze?mode=hierarchy')).toBeLessThan(300)
    const frozen = () => ['user', 'ptys', 'other', 'guest'].map((group) => root.read(`${group}/cgroup.freeze`)).join('')
    expect(frozen()).toBe('1111')
    await exchange(daemon)
    expect(frozen()).toBe('1111')
    // A second freeze takes nothing of the first for the guest's.
    expect(await post(daemon.url, '/freeze?mode=hierarchy')).toBeLessThan(300)
    expect(await post(daemon.url, '/unfreeze')).toBe(204)
    expect(frozen()).toBe('0001')
    expect((await shell(daemon.url, 'echo on')).stdout.toString()).toBe('on\n')
  },
)

test.each(EXCHANGES)('H9 a daemon that has come by %s thaws when it is told to stop', async (_, exchange) => {
  await using root = makeCgroupRoot()
  await using daemon = await startKept({ args: ['-cgroup-root', root.path] })
  expect(await post(daemon.url, '/freeze')).toBeLessThan(300)
  await exchange(daemon)
  expect(root.read('user/cgroup.freeze')).toBe('1')
  expect(await daemon.stop()).toBe(0)
  expect(root.read('user/cgroup.freeze')).toBe('0')
})

test.each(EXCHANGES)('N4 without cgroups starts wait after %s as well, until the thaw', async (_, exchange) => {
  await using daemon = await startKept({ args: ['-no-cgroups'] })
  expect(await post(daemon.url, '/freeze')).toBeLessThan(300)
  await exchange(daemon)
  const late = shell(daemon.url, 'true', { headers: { 'connect-timeout-ms': '300' } })
  await expect(late).rejects.toThrow('deadline_exceeded')
  const started = shell(daemon.url, 'echo on')
  expect(await post(daemon.url, '/unfreeze')).toBe(204)
  expect((await started).stdout.toString()).toBe('on\n')
})

test.each([[200], [undefined]])(
  'H9 the next daemon ends a freeze when its time is over (%s ms are left)',
  async (left) => {
    await using root = makeCgroupRoot()
    for (const group of ['user', 'ptys']) {
      mkdirSync(`${root.path}/${group}`)
      root.write(`${group}/cgroup.freeze`, '1')
    }
    let kept: KeptFreeze | undefined = left === undefined ? undefined : freezeFor(left)
    const store = { before: kept, write: (freeze: KeptFreeze | undefined) => (kept = freeze) }
    const { log } = recordingLog()
    // One that nothing is known of has the whole time.
    const watchdogMs = left === undefined ? 200 : 600_000
    const workload = await createWorkload({ root: root.path, kept: store, watchdogMs, log })
    await expect.poll(() => root.read('user/cgroup.freeze')).toBe('0')
    await expect.poll(() => kept).toBe(undefined)
    await workload.close()
  },
)
