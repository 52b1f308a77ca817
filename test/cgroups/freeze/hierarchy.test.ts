import { expect, test } from 'vitest'
import { NEVER } from '../../../src/lib/never.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { HIERARCHY, makeCounter, makeRig } from './rig.ts'

const MACHINE = [
  'init.scope',
  'socats/one',
  'system.slice/systemd-journald.service',
  'system.slice/rpcbind.service',
  'system.slice/rpcbind.socket',
  'system.slice/rpc-statd.service',
  'system.slice/cron.service/inner',
  'system.slice/nginx.service',
  'user.slice/user-1000.slice/session-1.scope',
  'machine',
]

test('H4 a hierarchy freeze stops every group but what the machine needs, without going below what it froze', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(MACHINE)
  await using cron = await makeCounter(rig.root, 'system.slice/cron.service/inner')
  await using session = await makeCounter(rig.root, 'user.slice/user-1000.slice/session-1.scope')
  await using init = await makeCounter(rig.root, 'init.scope')
  await using journal = await makeCounter(rig.root, 'system.slice/systemd-journald.service')
  await using forward = await makeCounter(rig.root, 'socats/one')
  const result = await rig.workload.freeze(HIERARCHY, NEVER)
  // Of the root: init.scope, machine, socats, system.slice, user.slice; of system.slice: six.
  expect(result).toMatchObject({
    mode: 'hierarchy',
    visited: 11,
    allowlisted: 6,
    requested: 6,
    frozen: 6,
    notFrozen: 0,
  })
  const set = Object.entries(rig.frozen()).flatMap(([group, frozen]) => (frozen ? [group] : []))
  expect(set).toEqual([
    'machine',
    'ptys',
    'system.slice/cron.service',
    'system.slice/nginx.service',
    'user',
    'user.slice',
  ])
  await Promise.all([cron.stands(), session.stands(), init.counts(), journal.counts(), forward.counts()])
  await rig.workload.unfreeze()
  await Promise.all([cron.counts(), session.counts()])
  expect(Object.values(rig.frozen())).not.toContain(true)
})

test('H4 a bound on cgroups ends the look at them and says so; user and ptys are frozen nevertheless', async (context) => {
  needsCgroups(context)
  const cases = [
    [1, true, 1],
    [10, true, 10],
    [11, false, 11],
    [0, false, 11],
    [-1, false, 11],
    [100_000, false, 11],
  ] as const
  for (const [maxCgroups, truncated, visited] of cases) {
    await using rig = await makeRig(MACHINE)
    const result = await rig.workload.freeze({ ...HIERARCHY, maxCgroups }, NEVER)
    expect(result).toMatchObject({ truncated, visited, mode: 'hierarchy' })
    expect(rig.frozen()).toMatchObject({ user: true, ptys: true })
  }
})

test('H4 without a bound in the request 512 cgroups are looked at', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(Array.from({ length: 513 }, (_, index) => `g${index}`))
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ truncated: true, visited: 512, requested: 514 })
  await rig.workload.thaw()
  expect(await rig.workload.freeze({ ...HIERARCHY, maxCgroups: 513 }, NEVER)).toMatchObject({
    truncated: false,
    visited: 513,
    requested: 515,
    frozen: 515,
  })
  await rig.workload.unfreeze()
  expect(Object.values(rig.frozen())).not.toContain(true)
})

test('H5 what the guest froze is skipped, counted and still frozen after the thaw', async (context) => {
  needsCgroups(context)
  const guest = ['machine', 'user/paused', 'system.slice/nginx.service', 'user.slice/user-1000.slice']
  await using rig = await makeRig([...MACHINE, 'user/paused'], { frozenByGuest: guest })
  const result = await rig.workload.freeze(HIERARCHY, NEVER)
  expect(result).toMatchObject({ preFrozen: 2, requested: 4, frozen: 4, visited: 11 })
  await rig.workload.unfreeze()
  const set = Object.entries(rig.frozen()).flatMap(([group, frozen]) => (frozen ? [group] : []))
  expect(set).toEqual([...guest].sort())
})

test('H5 a second freeze before the thaw does not take our own freeze for the guest’s', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(MACHINE, { frozenByGuest: ['machine'] })
  for (let round = 0; round < 3; round++)
    expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ preFrozen: 1, requested: 5 })
  await rig.workload.unfreeze()
  expect(rig.frozen()).toMatchObject({ machine: true, user: false, 'user.slice': false })
})

test('H5 each window looks anew at what the guest froze', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(MACHINE)
  await rig.workload.freeze(HIERARCHY, NEVER)
  await rig.workload.unfreeze()
  rig.root.write('machine/cgroup.freeze', '1')
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ preFrozen: 1 })
  await rig.workload.unfreeze()
  expect(rig.frozen()).toMatchObject({ machine: true, user: false })
})

test('H5 nothing below a group above the machine’s needs is touched when the guest has frozen that', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(MACHINE, { frozenByGuest: ['system.slice'] })
  expect(await rig.workload.freeze(HIERARCHY, NEVER)).toMatchObject({ preFrozen: 1, visited: 5, requested: 4 })
  await rig.workload.unfreeze()
  expect(rig.frozen()).toMatchObject({ 'system.slice': true, 'system.slice/nginx.service': false })
})
