import { expect, test, vi } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { clockDifference, setClock, startWithOwnClock } from '../_util/own-clock.ts'
import { call, open, type ProcessMessage, type Stream, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const DAY = 86_400_000
const HOUR = 3_600_000

// Each takes some seconds, and a multiple of that on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

/** Far above the seconds that it takes, far below what the clock is moved by. */
const SOON = { timeout: 60_000 }

const DEADLINE = 4_000

async function sampleCount(daemon: Daemon): Promise<number> {
  return Object((await call(daemon.url, 'metrics.Metrics/List', {})).body).samples.length
}

async function untilKeepalive(stream: Stream<ProcessMessage>): Promise<void> {
  while ((await stream.next()).event.keepalive === undefined);
}

test.each([
  ['a day forward', DAY],
  ['two hours back', -2 * HOUR],
] as const)('F12 the clock is set %s, and no timer fires early or stalls', async (_, change) => {
  await using dir = await makeTmpDir()
  await using daemon = await startWithOwnClock(dir.path)
  const begun = performance.now()
  const headers = { 'keepalive-ping-interval': '1' }
  const timed = await start(daemon.url, 'sleep', {
    args: ['1000'],
    headers: { ...headers, 'connect-timeout-ms': String(DEADLINE) },
  })
  const endless = await start(daemon.url, 'sleep', { args: ['1000'], tag: 'endless', headers })
  const ended = await start(daemon.url, 'true', { tag: 'ended' })
  const { watcherId } = Object((await call(daemon.url, 'filesystem.Filesystem/CreateWatcher', { path: dir.path })).body)
  await ended.rest()
  await Promise.all([timed.next(), endless.next()])

  await setClock(daemon, change)
  const samples = await sampleCount(daemon)
  await expect.poll(() => clockDifference(daemon), SOON).toSatisfy((value: number) => Math.abs(value - change) < 10_000)

  expect((await timed.rest()).end.error?.code).toBe('deadline_exceeded')
  expect(performance.now() - begun).toBeGreaterThan(DEADLINE - 50)
  await untilKeepalive(endless)
  await expect.poll(() => sampleCount(daemon), SOON).toBeGreaterThan(samples)
  const again = await open<ProcessMessage>(daemon.url, 'process.Process/Connect', { process: { tag: 'ended' } })
  expect((await again.rest()).messages.at(-1)?.event.end?.status).toBe('exit status 0')
  expect((await call(daemon.url, 'filesystem.Filesystem/GetWatcherEvents', { watcherId })).status).toBe(200)
  endless.close()
})
