import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { isIn, startCounting, startFreezable } from './daemon-rig.ts'
import { replaceFile } from './replaced-file.ts'

const HIERARCHY = '/freeze?mode=hierarchy&maxWaitMs=10000'

/** What `cgroup.events` says of a group that something runs in. */
const RUNNING = 'populated 1\nfrozen 0\n'

function json(text: string) {
  // The cast: an object is what the daemon promises.
  return JSON.parse(text) as Record<string, unknown>
}

test('H4 a daemon among the services of the machine freezes those, never what is above itself', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable({}, ['system.slice/envd.service', 'system.slice/cron.service', 'user.slice'])
  writeFileSync(`${rig.root.path}/system.slice/envd.service/cgroup.procs`, String(rig.daemon.pid))
  const result = json((await rig.post(HIERARCHY)).text)
  expect(result).toMatchObject({ mode: 'hierarchy', notFrozen: 0, failed: 0, requested: 4, allowlisted: 1 })
  expect(rig.frozen()).toEqual(['ptys', 'system.slice/cron.service', 'user', 'user.slice'])
  expect((await sendWhole(`${rig.url}/health`)).status).toBe(204)
  const { headers } = await rig.post('/init')
  expect(json(headers['x-envd-freeze-audit'] ?? '')).toMatchObject({ escaped: 0, violations: 0 })
  expect(rig.frozen()).toEqual([])
  expect((await rig.post('/init')).headers['x-envd-freeze-audit']).toBeUndefined()
})

test('a daemon that was started inside of user does not freeze itself', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  mkdirSync(`${rig.root.path}/user/app`)
  writeFileSync(`${rig.root.path}/user/app/cgroup.procs`, String(rig.daemon.pid))
  for (const mode of ['legacy', 'hierarchy']) {
    const result = json((await rig.post(`/freeze?mode=${mode}&maxWaitMs=10000`)).text)
    expect(result).toMatchObject({ mode, failed: 1, frozen: 1, notFrozen: 0 })
    expect(rig.frozen()).toEqual(['ptys'])
  }
  expect((await rig.post('/unfreeze')).status).toBe(204)
})

test('F10 an authorised initialization thaws, also with a stale timestamp and when it fails; a refused one does not', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  const counter = await startCounting(rig.url)
  expect(isIn(rig.root, 'user', counter.pid)).toBe(true)
  const token = { 'x-access-token': 'secret' }
  const fresh = { accessToken: 'secret', timestamp: new Date().toISOString() }
  await rig.post('/init', { body: JSON.stringify(fresh) })
  const freeze = async () => {
    expect((await rig.post('/freeze?maxWaitMs=10000', { headers: token })).status).toBe(200)
    expect(rig.frozen()).toEqual(['ptys', 'user'])
  }
  await freeze()
  expect((await rig.post('/init', { body: '{"accessToken":"wrong"}' })).status).toBe(401)
  expect((await rig.post('/init', { body: '{' })).status).toBe(400)
  expect(rig.frozen()).toEqual(['ptys', 'user'])
  const stale = { accessToken: 'secret', timestamp: '2001-01-01T00:00:00Z' }
  expect((await rig.post('/init', { body: JSON.stringify(stale) })).status).toBe(204)
  expect(rig.frozen()).toEqual([])
  await counter.counts()
  await freeze()
  const failing = { accessToken: 'secret', caBundle: 'no certificate', volumeMounts: [{ path: 'relative' }] }
  expect((await rig.post('/init', { body: JSON.stringify(failing) })).status).toBe(400)
  expect(rig.frozen()).toEqual([])
  await counter.counts()
})

test('H6 B56 what has not stopped in time is counted', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  using _ = replaceFile(`${rig.root.path}/user/cgroup.events`, RUNNING)
  const result = json((await rig.post('/freeze?maxWaitMs=50')).text)
  expect(result).toMatchObject({ requested: 2, frozen: 1, notFrozen: 1, failed: 0, unobservable: 0 })
  expect(result['waitMs']).toBeGreaterThanOrEqual(49)
  expect(rig.frozen()).toEqual(['ptys', 'user'])
})

test('H10 B57 B59 a client that leaves ends its own wait in a freeze, for its turn or its state, but never a thaw', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  using _ = replaceFile(`${rig.root.path}/user/cgroup.events`, RUNNING)
  const leaving = (path: string) => {
    const controller = new AbortController()
    const answer = rig.post(path, { signal: controller.signal })
    answer.catch(() => {})
    return { answer, leave: () => controller.abort() }
  }
  const holder = leaving('/freeze?maxWaitMs=60000')
  await expect.poll(() => rig.frozen()).toEqual(['ptys', 'user'])
  const order: string[] = []
  const forgotten = leaving('/unfreeze')
  const queued = leaving('/freeze?maxWaitMs=60000')
  const thawed = rig.post('/unfreeze').then(() => order.push('thawed'))
  const initialized = rig.post('/init').then(() => order.push('thawed'))
  // Each has come before the next answer: nothing of them is done while the first freeze lasts.
  for (let round = 0; round < 20; round++) await sendWhole(`${rig.url}/health`)
  expect(order).toEqual([])
  queued.leave()
  forgotten.leave()
  await expect(queued.answer).rejects.toThrow()
  await expect(forgotten.answer).rejects.toThrow()
  holder.leave()
  await Promise.all([thawed, initialized])
  expect(rig.frozen()).toEqual([])
})
