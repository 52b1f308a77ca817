import { mkdirSync, rmdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { freezeAll } from '../../../src/cgroups/freeze/freeze-all.ts'
import { createStartGate } from '../../../src/cgroups/freeze/start-gate.ts'
import { waitUntilFrozen } from '../../../src/cgroups/freeze/wait-frozen.ts'
import { createWorkload } from '../../../src/cgroups/freeze/workload.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { makeCgroupRoot } from '../../_util/cgroup.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { HIERARCHY, LEGACY, makeCounter, makeRig } from './rig.ts'

const NOTHING: ReadonlySet<string> = new Set()

test('N8 every freeze raises the generation, and a thaw of an older one thaws nothing', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  const { workload } = rig
  expect(workload.generation).toBe(0)
  await workload.freeze(LEGACY, NEVER)
  const entered = workload.generation
  await workload.freeze(LEGACY, NEVER)
  expect(workload.generation).toBe(2)
  expect(await workload.thaw(entered)).toBe(false)
  expect(rig.frozen()).toEqual({ ptys: true, user: true })
  expect(await workload.thaw(workload.generation)).toBe(true)
  expect(rig.frozen()).toEqual({ ptys: false, user: false })
})

test('N8 who enters waits for a freeze under way, and may leave', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  // In the daemon's own cgroup nothing stops, so the freeze waits.
  await using counter = await makeCounter(rig.root, 'user')
  const freeze = rig.workload.freeze(LEGACY, NEVER)
  const idle = rig.workload.idle(NEVER)
  const leaving = new AbortController()
  const left = rig.workload.idle(leaving.signal)
  leaving.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  await idle
  expect(await freeze).toMatchObject({ frozen: 2 })
  expect(rig.workload.generation).toBe(1)
  await rig.workload.thaw()
  await counter.counts()
})

test('N8 without cgroups freezes count as well', async () => {
  const workload = await createWorkload({ root: undefined, log: recordingLog().log })
  await workload.freeze(LEGACY, NEVER)
  expect(workload.generation).toBe(1)
  expect(await workload.thaw(0)).toBe(false)
  expect(await workload.thaw(1)).toBe(true)
})

test('N20 groups that are removed before or during the wait have vanished, those of commands failed', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a', 'b'])
  const root = rig.root.path
  const plan = { planned: ['a', 'b', 'gone'].map((group) => ({ group, duty: 'freeze' as const })), truncated: false }
  const writes = await freezeAll({ root, chain: NOTHING, plan, gate: undefined, isOurs: () => false })
  expect(writes).toMatchObject({ vanished: 1, failed: [], missing: [], written: expect.arrayContaining(['a', 'b']) })
  for (const group of ['b', 'ptys']) rmdirSync(`${root}/${group}`)
  const waited = await waitUntilFrozen({ root, groups: writes?.written ?? [], maxWait: 1000 }, NEVER)
  expect(waited).toEqual({ frozen: 2, unobservable: 0, vanished: 1, failed: 1 })
  mkdirSync(`${root}/ptys`)
})

test('N20 a freeze of the hierarchy reports how many vanished', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a'])
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ frozen: 3, vanished: 0, notFrozen: 0, failed: 0 })
})

test('N35 what the guest freezes between the look and the write is left to it, and what a freeze of ours froze is not its own', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a', 'b'])
  const root = rig.root.path
  const plan = { planned: ['a', 'b'].map((group) => ({ group, duty: 'freeze' as const })), truncated: false }
  for (const group of ['a', 'b']) rig.root.write(`${group}/cgroup.freeze`, '1')
  const writes = await freezeAll({ root, chain: NOTHING, plan, gate: undefined, isOurs: (group) => group === 'b' })
  expect(writes).toMatchObject({ guestFrozen: ['a'], written: ['user', 'ptys', 'b'] })
})

test('N35 while a start does not end nothing is frozen, and the result says so in the mode that was asked for', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a'])
  const leave = await rig.workload.gate.enter('user', NEVER)
  const began = performance.now()
  for (const [request, mode] of [
    [LEGACY, 'legacy'],
    [HIERARCHY, 'hierarchy'],
  ] as const)
    expect(await rig.workload.freeze(request, NEVER)).toMatchObject({ failed: 2, requested: 0, frozen: 0, mode })
  expect(performance.now() - began).toBeGreaterThanOrEqual(490)
  expect(Object.values(rig.frozen())).not.toContain(true)
  expect(rig.workload.generation).toBe(2)
  leave()
  expect(await rig.workload.freeze(LEGACY, NEVER)).toMatchObject({ failed: 0, frozen: 2 })
})

test('N4 a start that has waited long enough is unavailable, and told who froze its group', async (context) => {
  needsCgroups(context)
  await using root = makeCgroupRoot()
  for (const group of ['user', 'ptys']) mkdirSync(`${root.path}/${group}`)
  const gate = await createStartGate(root.path, recordingLog().log, 50)
  const refused = () => gate.enter('user', NEVER, () => "error starting process 'x'").catch((error: unknown) => error)
  const text = "error starting process 'x': the target cgroup is frozen"
  root.write('user/cgroup.freeze', '1')
  const requested = `${text}: ${root.path}/user has a freeze requested`
  expect(await refused()).toMatchObject({ kind: 'unavailable', message: requested })
  gate.ownFreeze(true)
  expect(await refused()).toMatchObject({ kind: 'unavailable', message: text })
  gate.ownFreeze(false)
  root.write('user/cgroup.freeze', '0')
  root.write('cgroup.freeze', '1')
  await expect.poll(() => root.read('user/cgroup.events')).toContain('frozen 1')
  expect(await refused()).toMatchObject({ message: `${text}: ${root.path}/user reads frozen` })
  const leaving = new AbortController()
  const left = gate.enter('user', leaving.signal)
  leaving.abort(new Error('gone'))
  await expect(left).rejects.toThrow('gone')
  root.write('cgroup.freeze', '0')
  gate.close()
})
