import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type ByteBudget, createByteBudget } from '../../src/budget/budget.ts'
import { createUnreadFrames } from '../../src/budget/unread-frames.ts'
import { JobChanges } from '../../src/jobs/changes.ts'
import type { KnownProcess } from '../../src/process/known-process.ts'
import type { Registry } from '../../src/process/registry.ts'

const MIB = 1024 * 1024
const over = new AbortController()
const all = () => true

function about(args: readonly string[]): KnownProcess['about'] {
  return { key: undefined, user: 'user', cwd: '/', cmd: 'true', args, argsLeftOut: 0, terminal: false }
}

/** Changes whose jobs are their pids. */
function watched(budget: ByteBudget = createByteBudget(64 * MIB)) {
  const watchers: Registry['watchers'] = new Set()
  const changes = new JobChanges({
    registry: { watchers },
    unread: createUnreadFrames(budget),
    toJob: ({ pid }) => pid,
  })
  let pid = 0
  const start = (tag?: string, args: readonly string[] = []) => {
    pid++
    const process = { pid, tag, about: about(args), end: undefined } as KnownProcess
    for (const watch of watchers) watch('start', process)
  }
  const watch = async (matches: Parameters<typeof changes.watch>[0] = all, keepalive = 60_000) => {
    const stream = changes.watch(matches, { keepalive, signal: over.signal })
    expect((await stream.next()).value).toEqual([{ kind: 'watching' }])
    return stream
  }
  return { watchers, start, watch, budget }
}

type Watch = Awaited<ReturnType<ReturnType<typeof watched>['watch']>>

async function take(stream: Watch, count: number): Promise<number[]> {
  const jobs: number[] = []
  while (jobs.length < count) {
    const { value } = await stream.next()
    for (const item of value ?? []) if ('job' in item) jobs.push(item.job)
  }
  return jobs
}

test('a client that reads misses nothing, however many do not, and those are cut off with the number that they missed', async () => {
  const { start, watch, budget } = watched()
  const stalled = await Promise.all(Array.from({ length: 300 }, () => watch()))
  const reading = await watch()
  const read: number[] = []
  for (let round = 0; round < 300; round++) {
    for (let count = 0; count < 10; count++) start(undefined, ['x'.repeat(2000)])
    read.push(...(await take(reading, 10)))
  }
  expect(read).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1))
  // Some 5 KB each, 15 MB in all.
  expect(budget.usage().frame).toBeLessThanOrEqual(4 * MIB)
  for (const stream of stalled) {
    const error = await stream.next().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ kind: 'resource_exhausted', message: expect.stringMatching(/: \d{4} were missed$/) })
  }
})

test('a change for many clients wakes a few of them in one turn of the event loop', async () => {
  const { start, watch } = watched()
  const streams = await Promise.all(Array.from({ length: 60 }, () => watch()))
  let woken = 0
  const reads = streams.map(async (stream) => {
    await stream.next()
    woken++
    const until = performance.now() + 1
    while (performance.now() < until);
  })
  await nextTurn()
  start()
  await nextTurn()
  expect(woken).toBeLessThan(streams.length / 4)
  await Promise.all(reads)
})

test('up to 1,000 changes wait', async () => {
  const { start, watch } = watched()
  const stream = await watch()
  for (let count = 0; count < 1000; count++) start()
  expect(await take(stream, 1000)).toHaveLength(1000)
  for (let count = 0; count < 1001; count++) start()
  await expect(stream.next()).rejects.toThrow('1 were missed')
})

test('a filter leaves out, and what it leaves out does not delay keepalives', async () => {
  const { start, watch } = watched()
  const stream = await watch(({ tag }) => tag === 'wanted', 100)
  start('other')
  start('wanted')
  expect((await stream.next()).value).toEqual([{ kind: 'start', job: 2 }])
  const timer = setInterval(() => start('other'), 20)
  expect((await stream.next()).value).toEqual([{ kind: 'keepalive' }])
  clearInterval(timer)
})

test('nothing is kept while nobody watches', async () => {
  const { start, watch, watchers, budget } = watched()
  const streams = [await watch(), await watch()]
  start()
  expect([watchers.size, budget.usage().frame > 0]).toEqual([1, true])
  for (const stream of streams) await stream.return()
  expect([watchers.size, budget.usage().frame]).toEqual([0, 0])
  const later = await watch()
  start()
  expect(await take(later, 1)).toEqual([2])
  await later.return()
})

test('what others hold takes nothing from those who watch, and nobody watches without memory', async () => {
  const budget = createByteBudget(8 * MIB)
  const { start, watch } = watched(budget)
  const spend = () =>
    Array.from({ length: 20 }, (_, user) => {
      const hold = budget.hold('body', { connection: undefined, user: String(user) })
      while (hold.tryGrow(1024));
      return hold
    })
  const others = spend()
  await expect(watch()).rejects.toMatchObject({ kind: 'budget_spent' })
  for (const hold of others) hold.release()
  const reading = await watch()
  const later = spend()
  for (let count = 0; count < 1000; count++) start()
  expect(await take(reading, 1000)).toHaveLength(1000)
  for (const hold of later) hold.release()
  await reading.return()
  expect(budget.usage()).toMatchObject({ frame: 0, body: 0 })
})
