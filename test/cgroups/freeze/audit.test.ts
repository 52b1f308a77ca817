import { expect, test } from 'vitest'
import { NEVER } from '../../../src/lib/never.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { HIERARCHY, LEGACY, makeCounter, makeRig, type Rig } from './rig.ts'

const GROUPS = ['init.scope', 'machine', 'other', 'paused', 'system.slice/a.service', 'system.slice/rpcbind.service']

async function auditOf(rig: Rig): Promise<unknown> {
  const text = await rig.workload.audit()
  return text === undefined ? undefined : JSON.parse(text)
}

test('F3 a hierarchy freeze that held has neither escaped cgroups nor violations', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(GROUPS, { frozenByGuest: ['paused'] })
  await rig.workload.freeze(HIERARCHY, NEVER)
  // On a busy machine the time for it may be over before all was looked at.
  await expect
    .poll(() => rig.workload.audit())
    .toBe('{"visited":9,"frozen":5,"escaped":0,"violations":0,"truncated":false}')
})

test('F3 what runs though it should not is escaped, what stands though it should run is a violation', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(GROUPS)
  await using counter = await makeCounter(rig.root, 'machine')
  await rig.workload.freeze(HIERARCHY, NEVER)
  rig.root.write('machine/cgroup.freeze', '0')
  // Nothing is in it: nothing has escaped.
  rig.root.write('other/cgroup.freeze', '0')
  rig.root.write('init.scope/cgroup.freeze', '1')
  await counter.counts()
  await expect.poll(() => auditOf(rig)).toMatchObject({ frozen: 4, escaped: 1, violations: 1 })
})

test('F3 the audit reports numbers, never names', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(['secret-name'])
  await rig.workload.freeze(HIERARCHY, NEVER)
  expect(await rig.workload.audit()).not.toContain('secret')
})

test('F3 H8 no audit without a hierarchy freeze, nor after the first thaw', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig()
  expect(await rig.workload.audit()).toBeUndefined()
  await rig.workload.freeze(LEGACY, NEVER)
  expect(await rig.workload.audit()).toBeUndefined()
  await rig.workload.freeze(HIERARCHY, NEVER)
  expect(await rig.workload.audit()).toBeDefined()
  await rig.workload.thaw()
  expect(await rig.workload.audit()).toBeUndefined()
})

test('F3 an audit beyond the bound of the freeze says so', async (context) => {
  needsCgroups(context)
  await using rig = await makeRig(GROUPS)
  await rig.workload.freeze({ ...HIERARCHY, maxCgroups: 2 }, NEVER)
  await expect.poll(() => auditOf(rig)).toMatchObject({ visited: 4, truncated: true })
})
