import { expect, test } from 'vitest'
import { createMmdsClient } from '../../../src/init/mmds/client.ts'
import { createLookUp } from '../../../src/init/mmds/look-up.ts'
import { shareReads } from '../../../src/init/mmds/reads.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { halt } from '../../_util/halt.ts'
import { type FakeMmds, OPTIONS, startFakeMmds } from './fake-mmds.ts'

/** A machine that is busy with other tests makes the event loop late, which must not count. */
const ANY_LATENESS = { maxLateness: Number.POSITIVE_INFINITY }

function lookUpOf(
  mmds: FakeMmds,
  repair: () => void,
  times: { timeout?: number; maxLateness?: number } = ANY_LATENESS,
) {
  const reads = shareReads(createMmdsClient({ base: mmds.url, timeout: 5_000 }), NEVER)
  return createLookUp({ reads, repair: async () => repair(), signal: NEVER, timeout: 10_000, ...times })
}

test('F9 a look that succeeds needs no repair', async () => {
  await using mmds = await startFakeMmds()
  let repairs = 0
  expect(await lookUpOf(mmds, () => repairs++)()).toEqual(OPTIONS)
  expect(repairs).toBe(0)
})

test('F9 after a failure the way is repaired and the service asked once more', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  const lookUp = lookUpOf(mmds, () => {
    mmds.conduct = 'answer'
  })
  expect(await lookUp()).toEqual(OPTIONS)
})

test('F9 a second failure means that there is no such service', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  let repairs = 0
  const lookUp = lookUpOf(mmds, () => repairs++)
  expect(await lookUp()).toBeUndefined()
  expect({ repairs, asked: mmds.requests.length }).toEqual({ repairs: 1, asked: 2 })
  expect(await lookUp()).toBeUndefined()
  expect({ repairs, asked: mmds.requests.length }).toEqual({ repairs: 2, asked: 4 })
})

test('F9 silence is taken for a rule of the guest, while the first look goes on', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  const lookUp = lookUpOf(
    mmds,
    () => {
      mmds.conduct = 'answer'
    },
    { ...ANY_LATENESS, timeout: 50 },
  )
  expect(await lookUp()).toEqual(OPTIONS)
  expect(mmds.connections()).toBeGreaterThan(0)
})

test('F9 calls that overlap share looks and repair', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  let repairs = 0
  const lookUp = lookUpOf(mmds, () => repairs++)
  expect(await Promise.all(Array.from({ length: 50 }, lookUp))).toEqual(Array(50).fill(undefined))
  expect({ repairs, asked: mmds.requests.length }).toEqual({ repairs: 1, asked: 2 })
})

test('F9 while the event loop itself is late nothing is repaired, and the service is asked once more', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  let repairs = 0
  const found = lookUpOf(mmds, () => repairs++, { timeout: 1_000 })()
  await expect.poll(() => mmds.requests.length).toBe(1)
  mmds.conduct = 'answer'
  halt(1_200)
  expect(await found).toEqual(OPTIONS)
  expect(repairs).toBe(0)
})
