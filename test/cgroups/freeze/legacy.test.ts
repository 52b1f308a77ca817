import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createWorkload } from '../../../src/cgroups/freeze/workload.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { HIERARCHY, LEGACY, makeCounter, makeRig } from './rig.ts'

test('H3 a freeze stops what runs in user and ptys, and nothing else', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['socats', 'system.slice/other.service'])
  await using inUser = await makeCounter(rig.root, 'user')
  await using inPtys = await makeCounter(rig.root, 'ptys')
  await using forward = await makeCounter(rig.root, 'socats')
  await using service = await makeCounter(rig.root, 'system.slice/other.service')
  const result = await rig.workload.freeze(LEGACY, NEVER)
  expect(result).toMatchObject({ mode: 'legacy', requested: 2, frozen: 2, failed: 0, notFrozen: 0, unobservable: 0 })
  expect(result).toMatchObject({ visited: 0, allowlisted: 0, preFrozen: 0, truncated: false })
  await Promise.all([inUser.stands(), inPtys.stands(), forward.counts(), service.counts()])
  expect(rig.frozen()).toEqual({
    user: true,
    ptys: true,
    socats: false,
    'system.slice': false,
    'system.slice/other.service': false,
  })
  await rig.workload.unfreeze()
  await Promise.all([inUser.counts(), inPtys.counts()])
  expect(Object.values(rig.frozen())).not.toContain(true)
})

test('H3 what runs in groups below user stops as well', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['user/app/worker'])
  await using counter = await makeCounter(rig.root, 'user/app/worker')
  expect(await rig.workload.freeze(LEGACY, NEVER)).toMatchObject({ requested: 2, frozen: 2 })
  await counter.stands()
  await rig.workload.thaw()
  await counter.counts()
})

test('B56 N20 the result has its members in alphabetical order', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  const names = Object.keys(await rig.workload.freeze(LEGACY, NEVER))
  expect(names).toEqual([...names].sort())
  expect(names).toHaveLength(13)
})

test('B58 without cgroups a freeze reports that nothing is known, in either mode, and a thaw succeeds', async () => {
  const workload = await createWorkload({ root: undefined, log: recordingLog().log })
  for (const request of [LEGACY, HIERARCHY]) {
    expect(await workload.freeze(request, NEVER)).toEqual({
      allowlisted: 0,
      failed: 0,
      frozen: 0,
      mode: 'legacy',
      notFrozen: 0,
      preFrozen: 0,
      requested: 2,
      sweepMs: 0,
      truncated: false,
      unobservable: 2,
      vanished: 0,
      visited: 0,
      waitMs: 0,
    })
  }
  await workload.unfreeze()
  await workload.thaw()
  expect(await workload.audit()).toBeUndefined()
  await workload.close()
})

test('B58 a group of commands that there is not counts as unobservable', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  rmdirSync(`${rig.root.path}/ptys`)
  expect(await rig.workload.freeze(LEGACY, NEVER)).toMatchObject({
    requested: 2,
    frozen: 1,
    unobservable: 1,
    notFrozen: 0,
  })
  await rig.workload.unfreeze()
  expect(rig.frozen()).toEqual({ user: false })
})

test('B56 without a time to wait nothing is looked at', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  await using counter = await makeCounter(rig.root, 'user')
  for (const maxWait of [undefined, 0, -5]) {
    expect(await rig.workload.freeze({ ...LEGACY, maxWait }, NEVER)).toMatchObject({ requested: 2, frozen: 0 })
    await rig.workload.thaw()
  }
  await rig.workload.freeze({ ...LEGACY, maxWait: undefined }, NEVER)
  await expect.poll(() => rig.root.read('user/cgroup.events')).toContain('frozen 1')
  await counter.stands()
})

test('H4 a daemon that cannot tell its own cgroup freezes only user and ptys', async () => {
  await using dir = await makeTmpDir()
  const groups = ['user', 'ptys', 'machine'].map((name) => `${dir.path}/${name}`)
  for (const group of groups) {
    mkdirSync(group)
    writeFileSync(`${group}/cgroup.freeze`, '0')
    writeFileSync(`${group}/cgroup.events`, 'populated 0\nfrozen 1\n')
  }
  const { log, lines: logged } = recordingLog()
  const workload = await createWorkload({ root: dir.path, log })
  expect(await workload.freeze(HIERARCHY, NEVER)).toMatchObject({ mode: 'legacy', requested: 2, frozen: 2, visited: 0 })
  expect(groups.map((group) => readFileSync(`${group}/cgroup.freeze`, 'latin1'))).toEqual(['1', '1', '0'])
  expect(logged[0]).toMatchObject({ level: 'warn' })
  await workload.close()
})
