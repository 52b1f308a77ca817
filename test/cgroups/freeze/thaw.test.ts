import { mkdirSync, rmdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { thawGroups } from '../../../src/cgroups/freeze/thaw.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { replaceFile } from './replaced-file.ts'
import { HIERARCHY, LEGACY, makeCounter, makeRig, type Rig } from './rig.ts'

const NOTHING: ReadonlySet<string> = new Set()

/** Makes writes fail of a group's `cgroup.freeze`, which says 1. */
function stuck(rig: Rig, group: string): Disposable {
  return replaceFile(`${rig.root.path}/${group}/cgroup.freeze`, '1\n')
}

test('H7 a thaw without a freeze of ours wakes user and ptys, and with them everything that is frozen', async (context) => {
  needsCgroups(context)
  const everything = ['ptys', 'system.slice/a.service', 'user', 'user/inner']
  await using rig = await makeRig(['system.slice/a.service', 'user/inner'], { frozenByGuest: everything })
  await using counter = await makeRunning(rig)
  await rig.workload.thaw()
  expect(Object.values(rig.frozen())).not.toContain(true)
  await counter.counts()
})

/** A process in `user/inner` that counted before that was frozen. */
async function makeRunning(rig: Rig) {
  for (const group of ['user', 'user/inner']) rig.root.write(`${group}/cgroup.freeze`, '0')
  const counter = await makeCounter(rig.root, 'user/inner')
  for (const group of ['user', 'user/inner']) rig.root.write(`${group}/cgroup.freeze`, '1')
  return counter
}

test('H7 a thaw without a freeze leaves alone what the guest froze elsewhere', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['machine', 'user/inner'], { frozenByGuest: ['machine', 'user/inner'] })
  await rig.workload.unfreeze()
  expect(rig.frozen()).toEqual({ machine: true, ptys: false, user: false, 'user/inner': true })
})

test('H7 a thaw reaches groups at any depth that were frozen after our freeze', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a/b/c/d/e', 'user/x/y'])
  await rig.workload.freeze(LEGACY, NEVER)
  for (const group of ['a/b', 'a/b/c/d/e', 'user/x/y']) rig.root.write(`${group}/cgroup.freeze`, '1')
  await rig.workload.unfreeze()
  expect(Object.values(rig.frozen())).not.toContain(true)
})

test('H7 thawing twice is success, and groups that vanish meanwhile are no failure', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a', 'b'])
  await rig.workload.freeze(HIERARCHY, NEVER)
  rmdirSync(`${rig.root.path}/a`)
  rmdirSync(`${rig.root.path}/user`)
  await rig.workload.unfreeze()
  await rig.workload.unfreeze()
  expect(rig.frozen()).toEqual({ b: false, ptys: false })
})

test('H7 more cgroups than may be looked at are an error, and those that were looked at are thawed', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['a', 'b', 'c'], { frozenByGuest: ['a', 'b', 'c'] })
  const options = { root: rig.root.path, chain: NOTHING, guestFrozen: NOTHING, everywhere: true }
  expect(await thawGroups({ ...options, limit: 4 })).toEqual(['there are more than 4 cgroups'])
  expect(rig.frozen()).toEqual({ a: false, b: false, c: false, ptys: false, user: false })
  expect(await thawGroups({ ...options, limit: 5 })).toEqual([])
})

test('B59 H9 what cannot be thawed is reported in numbers, all else is thawed, and the watchdog tries until it works', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['machine', 'other'], { watchdogMs: 2000 })
  await rig.workload.freeze(HIERARCHY, NEVER)
  {
    using _ = stuck(rig, 'machine')
    await expect(rig.workload.unfreeze()).rejects.toMatchObject({
      kind: 'internal',
      message: 'unfreeze: 1 cgroup: EROFS',
    })
    expect(rig.frozen()).toMatchObject({ other: false, user: false, ptys: false })
    const tries = () => rig.logged.filter(({ message }) => message.startsWith('no call has ended the freeze')).length
    await expect.poll(tries).toBeGreaterThan(0)
  }
  await expect.poll(() => rig.frozen()['machine']).toBe(false)
  expect(rig.logged.map(({ message }) => message)).toContain('not everything could be thawed')
})

test('F10 the thaw of an initialization never fails, and logs what it could not thaw', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['machine'])
  await rig.workload.freeze(HIERARCHY, NEVER)
  {
    using _ = stuck(rig, 'machine')
    await rig.workload.thaw()
    expect(rig.logged.at(-2)).toMatchObject({ level: 'warn', problems: '1 cgroup: EROFS' })
  }
  await rig.workload.thaw()
  expect(rig.frozen()).toMatchObject({ machine: false })
})

test('B56 a group that cannot be frozen is counted, not an error', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['machine', 'other'])
  using _ = stuck(rig, 'machine')
  // It says 1 as well, as if the guest had frozen it: so in a window that began before.
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ preFrozen: 1, requested: 3 })
  using __ = stuck(rig, 'other')
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({
    failed: 1,
    requested: 3,
    frozen: 2,
    notFrozen: 0,
  })
})

test('H9 a freeze without a thaw is ended by the watchdog, which a new freeze begins anew', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig([], { watchdogMs: 300 })
  await using counter = await makeCounter(rig.root, 'user')
  await rig.workload.freeze(LEGACY, NEVER)
  await counter.counts()
  // One group after the other.
  await expect.poll(() => rig.frozen()).toEqual({ ptys: false, user: false })
  const ended = () => rig.logged.filter(({ message }) => message.startsWith('no call has ended')).length
  const before = ended()
  expect(before).toBeGreaterThan(0)
  await rig.workload.freeze(LEGACY, NEVER)
  await rig.workload.unfreeze()
  await rig.workload.freeze(LEGACY, NEVER)
  await counter.counts()
  expect(ended()).toBeGreaterThan(before)
})

test('H9 a freeze that wrote nothing needs no watchdog', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig([], { watchdogMs: 1 })
  for (const group of ['user', 'ptys']) rmdirSync(`${rig.root.path}/${group}`)
  expect(await rig.workload.freeze(LEGACY, NEVER)).toMatchObject({ requested: 2, unobservable: 2 })
  mkdirSync(`${rig.root.path}/user`)
  rig.root.write('user/cgroup.freeze', '1')
  // A watchdog with the same time, which has work.
  await using other = await makeRig([], { watchdogMs: 1 })
  await other.workload.freeze(LEGACY, NEVER)
  await expect.poll(() => other.frozen()).toEqual({ ptys: false, user: false })
  expect(rig.logged.map(({ message }) => message)).not.toContain('no call has ended the freeze: thawing')
  expect(rig.frozen()).toEqual({ user: true })
})

test('H9 a daemon that stops thaws what it froze', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  await rig.workload.freeze(LEGACY, NEVER)
  await rig.workload.close()
  expect(rig.frozen()).toEqual({ ptys: false, user: false })
})
