import { mkdirSync, rmdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createStartGate, type StartGate } from '../../../src/cgroups/freeze/start-gate.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { type CgroupRoot, makeCgroupRoot } from '../../_util/cgroup.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { type LogLine, recordingLog } from '../../_util/recording-log.ts'

interface GateRig extends AsyncDisposable {
  readonly root: CgroupRoot
  readonly gate: StartGate
  readonly logged: readonly LogLine[]
}

async function makeGate(): Promise<GateRig> {
  const root = makeCgroupRoot()
  for (const group of ['user', 'ptys']) mkdirSync(`${root.path}/${group}`)
  const { log, lines: logged } = recordingLog()
  const gate = await createStartGate(root.path, log)
  return {
    root,
    gate,
    logged,
    async [Symbol.asyncDispose]() {
      gate.close()
      await root[Symbol.asyncDispose]()
    },
  }
}

/** What a start sees. */
function entering(gate: StartGate, group: 'user' | 'ptys', signal = NEVER) {
  const seen = { entered: false, leave: () => {} }
  const entered = gate.enter(group, signal).then((leave) => {
    Object.assign(seen, { entered: true, leave })
  })
  return { seen, entered }
}

test('D26 a start waits while its group is frozen, says so once, and goes on when the guest thaws it', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  rig.root.write('user/cgroup.freeze', '1')
  const waiting = entering(rig.gate, 'user')
  const terminal = entering(rig.gate, 'ptys')
  await terminal.entered
  expect(waiting.seen.entered).toBe(false)
  rig.root.write('user/cgroup.freeze', '0')
  await waiting.entered
  expect(rig.logged).toEqual([{ level: 'info', group: 'user', message: 'a start waits for its cgroup to be thawed' }])
})

test('D26 a start waits as well when something above its group is frozen', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  rig.root.write('cgroup.freeze', '1')
  const waiting = entering(rig.gate, 'user')
  expect(rig.logged).toHaveLength(1)
  rig.root.write('cgroup.freeze', '0')
  await waiting.entered
})

test('D26 who gives up waiting gets the reason, and a group that is thawed later lets the others in', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  rig.root.write('user/cgroup.freeze', '1')
  const controller = new AbortController()
  const impatient = entering(rig.gate, 'user', controller.signal)
  const patient = entering(rig.gate, 'user')
  controller.abort(new Error('gone'))
  await expect(impatient.entered).rejects.toThrow('gone')
  await expect(entering(rig.gate, 'user', controller.signal).entered).rejects.toThrow('gone')
  rig.root.write('user/cgroup.freeze', '0')
  await patient.entered
})

test('D26 a thousand starts may wait, one more is refused', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  rig.root.write('user/cgroup.freeze', '1')
  const all = Array.from({ length: 1000 }, () => entering(rig.gate, 'user').entered)
  await expect(entering(rig.gate, 'user').entered).rejects.toMatchObject({ kind: 'resource_exhausted' })
  rig.root.write('user/cgroup.freeze', '0')
  await Promise.all(all)
})

test('N35 a freeze waits for starts under way, lets no new ones in, and gives up after a quarter of a second', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  const first = entering(rig.gate, 'user')
  const stuck = entering(rig.gate, 'ptys')
  await Promise.all([first.entered, stuck.entered])
  const shut = rig.gate.shut()
  const late = entering(rig.gate, 'user')
  first.seen.leave()
  expect(late.seen.entered).toBe(false)
  // As one is still under way, nothing may be frozen.
  expect(await shut).toBeUndefined()
  await late.entered
  late.seen.leave()
  const again = rig.gate.shut()
  stuck.seen.leave()
  const waiting = entering(rig.gate, 'user')
  const open = await again
  expect(waiting.seen.entered).toBe(false)
  open?.()
  await waiting.entered
})

test('a group that was removed and made anew is looked at again', async (context) => {
  needsCgroups(context)
  await using rig = await makeGate()
  rmdirSync(`${rig.root.path}/user`)
  expect(rig.gate.isThawed()).toBe(false)
  await entering(rig.gate, 'user').entered
  mkdirSync(`${rig.root.path}/user`)
  await expect.poll(() => rig.gate.isThawed()).toBe(true)
  rig.root.write('user/cgroup.freeze', '1')
  expect(rig.gate.isThawed()).toBe(false)
  const waiting = entering(rig.gate, 'user')
  rig.root.write('user/cgroup.freeze', '0')
  await waiting.entered
})
