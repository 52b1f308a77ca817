import { expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { clockDifference, setClock, startWithOwnClock } from '../_util/own-clock.ts'
import { call, open, pidOf, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect } from '../process/calls.ts'
import { crash } from './crash.ts'

const HOUR = 3_600_000
const DEADLINE_MS = 6_000

/** Far above what a restart takes, far below what the clock is moved by. */
const NEAR_MS = 60_000

async function upgrade({ url }: Daemon): Promise<void> {
  await sendWhole(`${url}/upgrade`, { method: 'POST' }).catch(() => {})
  const report = async () => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
  await expect.poll(report).toMatchObject({ state: 'upgraded' })
}

test.each([
  ['a crash', 'forward', 2 * HOUR, crash],
  ['a crash', 'back', -2 * HOUR, crash],
  ['an upgrade', 'forward', 2 * HOUR, upgrade],
  ['an upgrade', 'back', -2 * HOUR, upgrade],
] as const)(
  'over %s a wall clock that jumps two hours %s moves no deadline, end or time of /init',
  async (_, __, jump, exchange) => {
    await using dir = await makeTmpDir()
    await using daemon = await startWithOwnClock(dir.path, { restarts: true })
    const { url } = daemon
    // The next daemon has the clock of the machine again.
    await setClock(daemon, -jump)
    await expect.poll(() => clockDifference(daemon)).toSatisfy((value: number) => Math.abs(value + jump) < NEAR_MS)
    const ended = await start(url, 'sh', { args: ['-c', 'echo said; exit 3'], tag: 'ended' })
    await ended.rest()
    const begun = performance.now()
    const headers = { 'connect-timeout-ms': String(DEADLINE_MS) }
    const timed = await pidOf(await start(url, 'sleep', { args: ['1000'], headers }))

    await exchange(daemon)

    expect(Math.abs(await clockDifference(daemon))).toBeLessThan(NEAR_MS)
    const resumed = { process: { tag: 'ended' }, resumeFrom: { stdout: '0' } }
    const kept = await transcript(await open(url, 'process.Process/Connect', resumed))
    expect([String(kept.stdout), kept.end?.status]).toEqual(['said\n', 'exit status 3'])
    const { job } = Object((await call(url, 'jobs.v1.Jobs/Get', { job: { pid: timed } })).body)
    expect(Math.abs(Date.now() - Date.parse(job.started))).toBeLessThan(NEAR_MS)
    const { status } = Object((await call(url, 'activity.v1.Activity/Get', {})).body)
    expect(Math.abs(Date.now() - Date.parse(status.since))).toBeLessThan(NEAR_MS)
    // The newest timestamp is the host's: an earlier one changes nothing, a later one does (F11).
    for (const [colour, later, value] of [
      ['old', -NEAR_MS, undefined],
      ['new', NEAR_MS, 'new'],
    ] as const) {
      const timestamp = new Date(Date.now() - jump + later).toISOString()
      const body = JSON.stringify({ timestamp, envVars: { COLOUR: colour } })
      expect((await sendWhole(`${url}/init`, { method: 'POST', body })).status).toBe(204)
      expect(JSON.parse((await sendWhole(`${url}/envs`)).text).COLOUR).toBe(value)
    }
    expect((await transcript(await connect(url, { pid: timed }))).end?.status).toBe('signal: killed')
    expect(performance.now() - begun).toBeGreaterThan(DEADLINE_MS - 50)
    expect(performance.now() - begun).toBeLessThan(DEADLINE_MS + NEAR_MS)
  },
  60_000,
)
