import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { needsCgroups } from '../../_util/namespace.ts'
import { startFreezable } from '../../cgroups/freeze/daemon-rig.ts'

const MEMBERS =
  /^\{"allowlisted":\d+,"failed":\d+,"frozen":\d+,"mode":"\w+","notFrozen":\d+,"preFrozen":\d+,"requested":\d+,"sweepMs":\d+,"truncated":(true|false),"unobservable":\d+,"vanished":\d+,"visited":\d+,"waitMs":\d+\}\n$/

function post(url: string, options: Parameters<typeof sendWhole>[1] = {}) {
  return sendWhole(url, { method: 'POST', body: '', ...options })
}

test('B56 without maxWaitMs, or with one that is not positive, a freeze is 204 and no more', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  for (const query of ['', '?', '?maxWaitMs=0', '?maxWaitMs=-1', '?mode=hierarchy', '?maxCgroups=5&other=%zz']) {
    const { status, text, headers } = await rig.post(`/freeze${query}`)
    expect({ status, text, cache: headers['cache-control'] }).toEqual({ status: 204, text: '', cache: undefined })
    expect(rig.frozen()).toEqual(['ptys', 'user'])
    expect(await rig.post('/unfreeze')).toMatchObject({
      status: 204,
      text: '',
      headers: { 'cache-control': 'no-store' },
    })
    expect(rig.frozen()).toEqual([])
  }
})

test('B56 with maxWaitMs the answer counts, as JSON that is not to be cached', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  for (const [query, mode] of [
    ['maxWaitMs=5000', 'legacy'],
    ['maxWaitMs=%35000&mode=other', 'legacy'],
    ['maxWaitMs=+5000&mode=Hierarchy'.replace('+', '%2B'), 'legacy'],
    ['mode=hierarchy&maxWaitMs=5000', 'hierarchy'],
    ['mode=hierarchy&maxWaitMs=9223372036854775807&maxCgroups=-9223372036854775808', 'hierarchy'],
  ] as const) {
    const { status, text, headers } = await rig.post(`/freeze?${query}`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' })
    expect(text).toMatch(MEMBERS)
    // Of the root itself there is also `socats`.
    const met = mode === 'hierarchy' ? 1 : 0
    expect(JSON.parse(text)).toMatchObject({ mode, requested: 2, frozen: 2, visited: met, allowlisted: met })
  }
})

test('A20 parameters of a freeze that are no integers, or given twice, are refused, and nothing is frozen', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  for (const query of ['maxWaitMs=', 'maxWaitMs=1.5', 'maxCgroups=abc', 'maxWaitMs=9223372036854775808']) {
    const { status, text } = await rig.post(`/freeze?${query}`)
    expect(status).toBe(400)
    expect(JSON.parse(text).message).toMatch(/^Invalid format for parameter max\w+: error binding string parameter/)
  }
  const twice = await rig.post('/freeze?mode=a&mode=a')
  expect(twice.status).toBe(400)
  expect(twice.text).toContain("multiple values for single value parameter 'mode'")
  expect(rig.frozen()).toEqual([])
})

test('B62 other methods are refused with the one that is allowed', async () => {
  await using daemon = await startDaemon({ args: ['-no-cgroups'] })
  for (const path of ['/freeze', '/unfreeze'])
    for (const method of ['GET', 'PUT', 'DELETE', 'PATCH'])
      expect(await sendWhole(`${daemon.url}${path}`, { method })).toMatchObject({
        status: 405,
        headers: { allow: 'POST' },
      })
})

test('B62 both need the token, before anything is frozen or thawed', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  await rig.post('/init', { body: '{"accessToken":"secret"}' })
  const headers = { 'x-access-token': 'secret' }
  expect((await rig.post('/freeze')).status).toBe(401)
  expect(rig.frozen()).toEqual([])
  expect((await rig.post('/freeze', { headers })).status).toBe(204)
  expect((await rig.post('/unfreeze')).status).toBe(401)
  expect(rig.frozen()).toEqual(['ptys', 'user'])
  expect((await rig.post('/unfreeze', { headers })).status).toBe(204)
  expect(rig.frozen()).toEqual([])
})

test('B58 without cgroups a freeze is answered at once, whatever time it may take, and a thaw is success', async () => {
  await using daemon = await startDaemon({ args: ['-no-cgroups'] })
  expect((await post(`${daemon.url}/freeze`)).status).toBe(204)
  for (const query of ['maxWaitMs=600000', 'maxWaitMs=600000&mode=hierarchy'])
    expect(JSON.parse((await post(`${daemon.url}/freeze?${query}`)).text)).toEqual({
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
  expect((await post(`${daemon.url}/unfreeze`)).status).toBe(204)
  expect((await post(`${daemon.url}/init`)).headers['x-envd-freeze-audit']).toBeUndefined()
})

test('E a freeze takes a closing sample of the metrics', async () => {
  await using daemon = await startDaemon({ args: ['-no-cgroups'] })
  const count = async () => {
    const body = '{}'
    const headers = { 'content-type': 'application/json' }
    const { text } = await post(`${daemon.url}/metrics.Metrics/List`, { body, headers })
    return (JSON.parse(text).samples as unknown[]).length
  }
  const before = await count()
  // More than the schedule takes in the time that this needs.
  for (let round = 0; round < 20; round++) await post(`${daemon.url}/freeze`)
  expect(await count()).toBeGreaterThanOrEqual(before + 20)
})

test('B59 a body, also an unexpected one, does not keep a freeze or a thaw from being answered', async (context) => {
  needsCgroups(context)
  await using rig = await startFreezable()
  const body = Buffer.alloc(300_000, 0x20)
  expect((await rig.post('/freeze?maxWaitMs=5000', { body })).status).toBe(200)
  expect((await rig.post('/unfreeze', { body, headers: { 'content-type': 'application/json' } })).status).toBe(204)
})
