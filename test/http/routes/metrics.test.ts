import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { createSampler } from '../../../src/metrics/sample.ts'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

const KEYS =
  'ts cpu_count cpu_used_pct mem_total_mib mem_used_mib mem_total mem_used mem_cache disk_used disk_total'.split(' ')

test('B2 E1 metrics are one JSON object of numbers in a fixed order, and a newline', async () => {
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

test('E2 E3 E5 E6 E8 metrics are those of the machine that the kernel shows', async () => {
  await using front = await startFront()
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

test('E7 a source that cannot be read makes metrics 500 without a body', async () => {
  const sampler = createSampler({ proc: '/nonexistent', disk: '/' })
  await using front = await startFront({ sampler })
  expect(await sendWhole(`${front.url}/metrics`)).toMatchObject({ status: 500, text: '' })
  expect(front.logged).toMatchObject([{ level: 'error', errno: 'ENOENT' }])
})
