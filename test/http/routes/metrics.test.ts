import { execFileSync } from 'node:child_process'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../../src/budget/budget.ts'
import { metricsRoute } from '../../../src/http/routes/metrics.ts'
import { createCallCounts } from '../../../src/metrics/calls.ts'
import { NO_SAMPLE } from '../../../src/metrics/sample.ts'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

const KEYS = [
  ...['ts', 'cpu_count', 'cpu_used_pct'],
  ...['cpu_possible', 'cpu_target', 'cpu_target_attempts', 'cpu_write_pending_ms'],
  ...['mem_total_mib', 'mem_used_mib', 'mem_total', 'mem_used', 'mem_cache', 'disk_used', 'disk_total'],
]

test('B2 E1 N19 metrics are one JSON object of numbers in a fixed order, and a newline', async () => {
  await using front = await startFront()
  for (const http2 of [false, true]) {
    const answer = await sendWhole(`${front.url}/metrics`, { http2 })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    })
    expect(answer.text).toMatch(/\}\n$/)
    const sample = JSON.parse(answer.text)
    expect(Object.keys(sample)).toEqual(KEYS)
    expect(Object.values(sample).every((value) => typeof value === 'number' && value >= 0)).toBe(true)
  }
})

test('N17 N19 kills for want of memory come last, and only while they are known; CPUs before the memory', async () => {
  const cpus = { possible: 16, target: 4, attempts: 2, pendingMs: 1500 }
  for (const oomKills of [[], [{ seq: 7, process: 'python3' }]]) {
    await using front = await startFront({ live: { cpus, oomKills } })
    const sample = JSON.parse((await sendWhole(`${front.url}/metrics`)).text)
    expect(Object.keys(sample)).toEqual([...KEYS, 'oom_kills'])
    expect(sample).toMatchObject({
      cpu_possible: 16,
      cpu_target: 4,
      cpu_target_attempts: 2,
      cpu_write_pending_ms: 1500,
      oom_kills: oomKills,
    })
  }
})

test('E2 E3 E5 E6 E8 metrics are those of the machine that the kernel shows', async () => {
  // Without cgroups, in case that the tests run in a container with limits.
  await using front = await startFront({ sources: { proc: '/proc', root: '/nonexistent', disk: '/' } })
  const sample = JSON.parse((await sendWhole(`${front.url}/metrics`)).text)
  expect(Math.abs(sample.ts - Date.now() / 1000)).toBeLessThan(60)
  expect(sample.cpu_count).toBeGreaterThanOrEqual(availableParallelism())
  const [, memTotal] = /^Mem: +(\d+)/m.exec(execFileSync('free', ['-b'], { encoding: 'utf8' })) ?? []
  expect(sample.mem_total).toBe(Number(memTotal))
  expect(sample.mem_total_mib).toBe(Math.floor(sample.mem_total / 2 ** 20))
  expect(sample.mem_used_mib).toBe(Math.floor(sample.mem_used / 2 ** 20))
  const [, diskTotal] = execFileSync('df', ['-B1', '--output=size', '/'], { encoding: 'utf8' }).split('\n')
  expect(sample.disk_total).toBe(Number(diskTotal))
  expect(sample.disk_used).toBeLessThanOrEqual(sample.disk_total)
})

test('E7 a source that cannot be read makes metrics 500 without a body, in either format', async () => {
  await using front = await startFront({ sources: { proc: '/nonexistent', root: '', disk: '/' } })
  expect(await sendWhole(`${front.url}/metrics`)).toMatchObject({ status: 500, text: '' })
  expect(await sendWhole(`${front.url}/metrics?format=openmetrics`)).toMatchObject({ status: 500, text: '' })
  expect(front.logged.filter(({ level }) => level !== 'debug')).toMatchObject([{ level: 'error', errno: 'ENOENT' }])
})

test('E4 metrics are the same for all requests within two seconds, as a request measures nothing', async () => {
  await using front = await startFront({ period: 1_000_000_000 })
  const answers = await Promise.all(Array.from({ length: 5 }, () => sendWhole(`${front.url}/metrics`)))
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
})

const PROMETHEUS =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
const negotiations = [
  { query: '', accept: '', open: false },
  { query: '', accept: '*/*', open: false },
  { query: '', accept: 'application/json', open: false },
  { query: '', accept: 'text/plain', open: false },
  { query: '', accept: 'application/openmetrics-text', open: true },
  { query: '', accept: 'text/plain;q=0.1, Application/OpenMetrics-Text ; version=1.0.0', open: true },
  { query: '', accept: 'application/openmetrics-text;q=0, */*', open: false },
  { query: '', accept: 'application/openmetrics-text;version=1.0.0;q=0.0', open: false },
  { query: '', accept: 'application/openmetrics-texts', open: false },
  { query: '', accept: PROMETHEUS, open: true },
  { query: '?format=json', accept: PROMETHEUS, open: false },
  { query: '?format=openmetrics', accept: 'application/json', open: true },
]

test.each(negotiations)('metrics with query "$query" and Accept "$accept": OpenMetrics $open', async (row) => {
  await using front = await startFront()
  const headers = row.accept === '' ? {} : { accept: row.accept }
  const answer = await sendWhole(`${front.url}/metrics${row.query}`, { headers })
  expect(answer).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } })
  expect(answer.headers['content-type']).toBe(
    row.open ? 'application/openmetrics-text; version=1.0.0; charset=utf-8' : 'application/json',
  )
  if (row.open) expect(answer.text).toMatch(/\n# EOF\n$/)
  else expect(Object.keys(JSON.parse(answer.text))).toEqual(KEYS)
})

test('a format that there is not is refused', async () => {
  await using front = await startFront()
  for (const query of ['format=xml', 'format=json&format=openmetrics']) {
    const { status, text } = await sendWhole(`${front.url}/metrics?${query}`)
    expect({ status, body: JSON.parse(text) }).toEqual({
      status: 400,
      body: { code: 400, message: 'format must be json or openmetrics' },
    })
  }
})

test('texts that many ask for in one turn of the event loop are made once', async () => {
  let made = 0
  const route = metricsRoute({
    sampler: { current: async () => NO_SAMPLE, latest: () => NO_SAMPLE },
    live: () => ({ cpus: { possible: 0, target: 0, attempts: 0, pendingMs: 0 }, oomKills: undefined }),
    calls: createCallCounts(),
    budget: createByteBudget(1),
    idleSeconds: () => ++made,
  })
  const request = new IncomingMessage(new Socket())
  request.headers.accept = 'application/openmetrics-text'
  for (let count = 0; count < 100; count++) expect(route.direct.accept(request)).toBeDefined()
  expect(made).toBe(1)
  await setImmediate()
  route.direct.accept(request)
  expect(made).toBe(2)
})
