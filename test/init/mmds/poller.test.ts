import { expect, onTestFinished, test } from 'vitest'
import { createMmdsClient } from '../../../src/init/mmds/client.ts'
import type { MmdsOptions } from '../../../src/init/mmds/options.ts'
import { createPoller, type Pace } from '../../../src/init/mmds/poller.ts'
import { type FakeMmds, OPTIONS, startFakeMmds } from './fake-mmds.ts'

function pollerOf(mmds: FakeMmds, pace: Pace) {
  const found: MmdsOptions[] = []
  const missed: boolean[] = []
  const stopping = new AbortController()
  onTestFinished(() => stopping.abort())
  const client = createMmdsClient({ base: mmds.url })
  const poller = createPoller({
    read: () => client.read(stopping.signal),
    found: async (options) => void found.push(options),
    missed: (endless) => void missed.push(endless),
    signal: stopping.signal,
    pace,
  })
  return { poller, found, missed, stop: () => stopping.abort() }
}

const QUICK = { quick: 10, slow: 5_000, quickFor: 60_000 }

test('G11 at start the service is asked again and again until it answers, and then no more', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  const { poller, found, missed } = pollerOf(mmds, QUICK)
  poller.untilFound()
  await expect.poll(() => mmds.requests.length).toBeGreaterThan(5)
  mmds.conduct = 'answer'
  await expect.poll(() => found).toEqual([OPTIONS])
  const asked = mmds.requests.length
  poller.hurry()
  await expect.poll(() => found).toEqual([OPTIONS, OPTIONS])
  expect(mmds.requests).toHaveLength(asked + 1)
  expect(missed).toEqual([])
})

test('G11 where nothing answers for long it goes on slowly and says so once; a hurry makes it quick again', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  const { poller, found, missed } = pollerOf(mmds, { quick: 5, slow: 60_000, quickFor: 250 })
  poller.untilFound()
  await expect.poll(() => missed).toEqual([true])
  const asked = mmds.requests.length
  poller.hurry()
  await expect.poll(() => mmds.requests.length).toBeGreaterThan(asked)
  await expect.poll(() => missed).toEqual([true, true])
  mmds.conduct = 'answer'
  poller.hurry()
  await expect.poll(() => found).toEqual([OPTIONS])
})

test('G13 a poll that is not for ever is given up, and a later one begins anew', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'cut'
  const { poller, found, missed } = pollerOf(mmds, { quick: 5, slow: 1_000, quickFor: 50 })
  poller.hurry()
  await expect.poll(() => missed).toEqual([false])
  mmds.conduct = 'answer'
  poller.hurry()
  await expect.poll(() => found).toEqual([OPTIONS])
  expect(missed).toEqual([false])
})

test('G11 an answer that does not come does not keep the next question', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  const { poller, found } = pollerOf(mmds, { quick: 5, slow: 100, quickFor: 60_000 })
  poller.untilFound()
  await expect.poll(() => mmds.requests.length).toBe(1)
  mmds.conduct = 'answer'
  await expect.poll(() => found).toEqual([OPTIONS])
})

test('a stopped poller asks no more, and cannot be started again', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  const { poller, found, missed, stop } = pollerOf(mmds, QUICK)
  poller.untilFound()
  await expect.poll(() => mmds.requests.length).toBe(1)
  stop()
  await expect.poll(() => mmds.connections()).toBe(0)
  poller.hurry()
  expect({ asked: mmds.requests.length, found, missed }).toEqual({ asked: 1, found: [], missed: [] })
})
