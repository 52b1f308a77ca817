import { createServer } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { LogLine } from '../../src/log.ts'
import { createExporter, type ExporterOptions } from '../../src/logs/exporter.ts'
import { type Collector, startCollector } from './collector.ts'

const MIB = 1024 * 1024

/** An exporter that is closed with the test, and its complaints. */
function makeExporter(options: Partial<ExporterOptions> = {}) {
  const complaints: string[] = []
  const exporter = createExporter({ writeStderr: (text) => void complaints.push(text), ...options })
  onTestFinished(() => exporter.close(0))
  return { ...exporter, complaints }
}

function target({ address }: Pick<Collector, 'address'>, instanceID = 'sandbox-1') {
  return { instanceID, envID: 'template-1', address }
}

const ready = (text: string): LogLine => ({ size: text.length, text: () => text })
const line = (number: number, filler = '') => ready(`${JSON.stringify({ number, filler })}\n`)
const numbers = (collector: Collector) => collector.lines().map(({ number }) => number)

test('G30 each line is posted alone as JSON, with the ids of the sandbox added', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.configure(target(collector))
  exporter.write(ready('{"level":"debug","message":"ünï \\"quoted\\""}\n'))
  await expect.poll(() => collector.posts).toHaveLength(1)
  expect(collector.posts[0]).toMatchObject({
    method: 'POST',
    url: '/logs',
    headers: { 'content-type': 'application/json', host: new URL(collector.address).host },
  })
  expect(collector.lines()).toEqual([
    { level: 'debug', message: 'ünï "quoted"', instanceID: 'sandbox-1', envID: 'template-1' },
  ])
})

test('G30 lines arrive in the order they were written, each over a connection of its own', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.configure(target(collector))
  for (let number = 0; number < 300; number++) exporter.write(line(number))
  await expect.poll(() => collector.posts.length, { timeout: 20_000 }).toBe(300)
  expect(numbers(collector)).toEqual(Array.from({ length: 300 }, (_, index) => index))
  expect(collector.posts.map(({ connection }) => connection)).toEqual(numbers(collector).map((n) => Number(n) + 1))
  expect(exporter.complaints).toEqual([])
})

test('G30 a collector with an IPv6 address is reached', async () => {
  await using collector = await startCollector('::1')
  const exporter = makeExporter()
  exporter.configure(target(collector))
  exporter.write(line(1))
  await expect.poll(() => numbers(collector)).toEqual([1])
})

test('G31 nothing is sent until the address is known; then what has waited goes first', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.write(line(1))
  exporter.configure({ instanceID: 'sandbox-1', envID: 'template-1', address: '' })
  exporter.write(line(2))
  exporter.configure(target(collector))
  exporter.write(line(3))
  await expect.poll(() => numbers(collector)).toEqual([1, 2, 3])
})

test('G31 a line of more than 192 KiB is dropped, the others are sent', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  const overhead = line(1).size
  exporter.write(line(1, 'x'.repeat(192 * 1024 - overhead)))
  exporter.write(line(2, 'x'.repeat(192 * 1024 - overhead + 1)))
  exporter.write(line(3))
  exporter.configure(target(collector))
  await expect.poll(() => numbers(collector)).toEqual([1, 3])
  expect(exporter.complaints).toEqual(['log export: 0 lines failed, 1 dropped'])
})

test('G31 at most 8 MiB wait; the oldest lines are dropped', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  for (let number = 0; number < 200; number++) exporter.write(line(number, 'x'.repeat(100 * 1024)))
  exporter.configure(target(collector))
  // Not all 8 MiB at every look, which would take the exporter's time.
  await expect.poll(() => collector.posts.at(-1)?.text.slice(0, 14), { timeout: 20_000 }).toBe('{"number":199,')
  const bytes = collector.posts.reduce((sum, { text }) => sum + text.length, 0)
  expect(bytes).toBeGreaterThan(7.5 * MIB)
  expect(bytes).toBeLessThan(8.1 * MIB)
  expect(numbers(collector)).toEqual(collector.posts.map((_, index) => 200 - collector.posts.length + index))
  expect(exporter.complaints).toEqual([`log export: 0 lines failed, ${200 - collector.posts.length} dropped`])
})

test('G30 an answer other than 2xx is a failure: nothing is sent again, and it is reported once a minute', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.configure(target(collector))
  collector.status = 500
  for (let number = 0; number < 5; number++) exporter.write(line(number))
  await expect.poll(() => collector.posts).toHaveLength(5)
  collector.status = 200
  exporter.write(line(5))
  await expect.poll(() => numbers(collector)).toEqual([0, 1, 2, 3, 4, 5])
  expect(exporter.complaints).toEqual(['log export: 1 lines failed, 0 dropped: status 500'])
})

test('G30 a collector that is not there costs the lines that are sent meanwhile, and no more', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  const port = typeof address === 'object' ? address?.port : undefined
  const exporter = makeExporter()
  exporter.configure(target({ address: `http://127.0.0.1:${port}/logs` }))
  exporter.write(line(1))
  await expect.poll(() => exporter.complaints).toEqual(['log export: 1 lines failed, 0 dropped: ECONNREFUSED'])
  await using collector = await startCollector()
  exporter.configure(target(collector))
  exporter.write(line(2))
  await expect.poll(() => numbers(collector)).toEqual([2])
})

test('G30 a line that gets no answer in time is given up for the next', async () => {
  await using collector = await startCollector()
  collector.status = undefined
  const exporter = makeExporter({ timeoutMs: 50 })
  exporter.configure(target(collector))
  for (let number = 0; number < 3; number++) exporter.write(line(number))
  await expect.poll(() => numbers(collector)).toEqual([0, 1, 2])
  await expect.poll(() => exporter.complaints).toEqual(['log export: 1 lines failed, 0 dropped: no answer in time'])
})

test('G35 once the sandbox has another id, lines carry it, and the one that was on its way to the old collector is sent again', async () => {
  await using first = await startCollector()
  await using second = await startCollector()
  first.status = undefined
  const exporter = makeExporter()
  exporter.configure(target(first))
  for (let number = 0; number < 3; number++) exporter.write(line(number))
  await expect.poll(() => first.posts).toHaveLength(1)
  exporter.configure(target(second, 'sandbox-2'))
  await expect.poll(() => numbers(second)).toEqual([0, 1, 2])
  expect(second.lines().map(({ instanceID }) => instanceID)).toEqual(['sandbox-2', 'sandbox-2', 'sandbox-2'])
  expect(first.posts).toHaveLength(1)
})

test('G12 the same target again leaves the request that is under way alone', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.configure(target(collector))
  for (let number = 0; number < 50; number++) {
    exporter.write(line(number))
    exporter.configure(target(collector))
  }
  await expect.poll(() => collector.posts).toHaveLength(50)
  expect(exporter.complaints).toEqual([])
})

test('G35 the line that was on its way at a resume is sent again to the same target when it is not answered', async () => {
  await using collector = await startCollector()
  collector.status = undefined
  const exporter = makeExporter({ resumeMs: 50 })
  exporter.configure(target(collector))
  for (let number = 0; number < 3; number++) exporter.write(line(number))
  await expect.poll(() => collector.posts).toHaveLength(1)
  collector.status = 204
  exporter.resumed()
  exporter.resumed()
  await expect.poll(() => numbers(collector)).toEqual([0, 0, 1, 2])
  expect(exporter.complaints).toEqual([])
})

test('G35 it is sent again when its connection turns out to be reset, and not when it is answered after all', async () => {
  await using collector = await startCollector()
  collector.status = undefined
  const exporter = makeExporter()
  exporter.configure(target(collector))
  exporter.write(line(1))
  await expect.poll(() => collector.posts).toHaveLength(1)
  exporter.resumed()
  collector.status = 204
  collector.reset()
  await expect.poll(() => numbers(collector)).toEqual([1, 1])
  exporter.write(line(2))
  exporter.resumed()
  exporter.write(line(3))
  await expect.poll(() => numbers(collector)).toEqual([1, 1, 2, 3])
  expect(exporter.complaints).toEqual([])
})

test.each(['https://127.0.0.1/logs', 'not an address', 'file:///logs'])(
  'G12 an address that is no http URL (%s) is reported, and lines wait',
  async (address) => {
    await using collector = await startCollector()
    const exporter = makeExporter()
    exporter.configure(target({ address }))
    exporter.write(line(1))
    expect(exporter.complaints).toEqual(['log export: 0 lines failed, 0 dropped: the collector has no http address'])
    exporter.configure(target(collector))
    await expect.poll(() => numbers(collector)).toEqual([1])
  },
)

test('what waits at the end is sent, for as long as is allowed', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  for (let number = 0; number < 250; number++) exporter.write(line(number))
  exporter.configure(target(collector))
  await exporter.close(20_000)
  expect(collector.posts).toHaveLength(250)
  exporter.write(line(250))
  collector.status = undefined
  const other = makeExporter()
  other.configure(target(collector))
  other.write(line(251))
  await other.close(100)
  expect(numbers(collector).slice(250)).toEqual([251])
})

test('N20 a drain sends what waits without its pace, and drops what is left then', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  exporter.configure(target(collector))
  for (let number = 0; number < 400; number++) exporter.write(line(number))
  // At the usual pace of 100 lines a second it would take 2 s.
  await exporter.drain(10_000)
  expect(numbers(collector)).toHaveLength(400)
  exporter.write(line(400))
  await expect.poll(() => numbers(collector).at(-1)).toBe(400)
  expect(exporter.complaints).toEqual([])
})

test('N20 a drain without time, or with a collector that is silent, drops what waits, and nothing of it is sent later', async () => {
  await using collector = await startCollector()
  const exporter = makeExporter()
  for (let number = 0; number < 10; number++) exporter.write(line(number))
  await exporter.drain(0)
  expect(exporter.complaints).toEqual(['log export: 0 lines failed, 10 dropped'])
  collector.status = undefined
  exporter.configure(target(collector))
  for (let number = 10; number < 20; number++) exporter.write(line(number))
  await expect.poll(() => collector.posts).toHaveLength(1)
  const began = performance.now()
  await exporter.drain(100)
  expect(performance.now() - began).toBeLessThan(2_000)
  await using next = await startCollector()
  exporter.configure(target(next))
  exporter.write(line(20))
  await expect.poll(() => numbers(next)).toEqual([20])
})
