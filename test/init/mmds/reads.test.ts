import { expect, test } from 'vitest'
import { createMmdsClient } from '../../../src/init/mmds/client.ts'
import { shareReads } from '../../../src/init/mmds/reads.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { OPTIONS, startFakeMmds } from './fake-mmds.ts'

test('F21 looks that overlap are one', async () => {
  await using mmds = await startFakeMmds()
  const reads = shareReads(createMmdsClient({ base: mmds.url }), NEVER)
  expect(await Promise.all(Array.from({ length: 100 }, () => reads.next()))).toEqual(Array(100).fill(OPTIONS))
  expect(mmds.requests).toHaveLength(2)
  await reads.next()
  expect(mmds.requests).toHaveLength(3)
})

test('K5 one who comes again every few milliseconds profits from a slow look that was begun long before', async () => {
  await using mmds = await startFakeMmds()
  const answer = Promise.withResolvers<void>()
  let asked = 0
  mmds.before = () => (asked++ === 0 ? answer.promise : new Promise(() => {}))
  const reads = shareReads(createMmdsClient({ base: mmds.url }), NEVER)
  const first = reads.next()
  await expect.poll(() => asked).toBe(1)
  const later = reads.next(0)
  await expect.poll(() => asked).toBe(2)
  mmds.before = () => {}
  answer.resolve()
  expect(await Promise.all([first, later, reads.next()])).toEqual([OPTIONS, OPTIONS, OPTIONS])
})

test('a look that hangs is not waited for alone', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  const reads = shareReads(createMmdsClient({ base: mmds.url, timeout: 5_000 }), NEVER)
  reads.next().catch(() => {})
  await expect.poll(() => mmds.requests.length).toBe(1)
  mmds.conduct = 'answer'
  await expect.poll(() => Promise.race([reads.next(), Promise.resolve('waits')])).toBe('waits')
  expect(await reads.next(0)).toEqual(OPTIONS)
})

test('a look that failed is not shared any more, and all having failed is failure', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  const reads = shareReads(createMmdsClient({ base: mmds.url }), NEVER)
  await expect(reads.next()).rejects.toThrow(AggregateError)
  mmds.conduct = 'answer'
  expect(await reads.next()).toEqual(OPTIONS)
})
