import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { call, pidOf, start } from '../_util/rpc.ts'
import { sendSignal } from '../process/calls.ts'
import { outputUntil } from '../process/following.ts'
import { crash, startKept, upgrade } from './crash.ts'

const GRACE_MS = 3_000

/** So many that a walk which kills them takes far longer than the end of the daemon. */
const MEMBERS = 1_500

/** Living processes of a session. */
async function membersOf(session: number): Promise<number> {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const stats = await Promise.all(numbers.map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')))
  return stats.filter((stat) => new RegExp(`\\) [^ZX] \\d+ \\d+ ${session} `).test(stat)).length
}

test('D57 D60 a SIGKILL that was answered reaches the whole session, also if the daemon is killed in the next moment', async () => {
  await using daemon = await startKept()
  const { url, pid: victim } = daemon
  const script = `for i in $(seq ${MEMBERS}); do sleep 1000 & done; echo up; wait`
  const stream = await start(url, 'sh', { args: ['-c', script], tag: 'crowd' })
  const pid = await pidOf(stream)
  await outputUntil(stream, 'up')
  expect((await sendSignal(url, { pid }, 'SIGNAL_SIGKILL')).status).toBe(200)
  process.kill(victim, 'SIGKILL')
  await expect.poll(() => membersOf(pid), { timeout: 10_000 }).toBe(0)
  const ended = await call(url, 'jobs.v1.Jobs/Wait', { job: { tag: 'crowd' }, timeoutMs: '10000' })
  expect(ended.body).toMatchObject({ job: { state: 'STATE_ENDED', status: 'signal: killed' } })
})

test.each([
  ['a crash', crash],
  ['an upgrade', upgrade],
] as const)('of a kill with a grace the SIGKILL comes in time after %s, to all of its scope', async (_, exchange) => {
  await using daemon = await startKept()
  const { url } = daemon
  const deaf = 'trap "echo got" TERM; trap "" HUP; echo up; while :; do sleep 0.05; done'
  const job = await start(url, 'sh', { args: ['-c', deaf], tag: 'job' })
  const leader = await start(url, 'sh', { args: ['-c', deaf], tag: 'leader' })
  // Its leader ends by SIGTERM, and another process of the session does not.
  const both = `sh -c 'trap "" TERM; echo up; while :; do sleep 0.05; done' & trap 'echo got; exit 3' TERM; wait`
  const session = await start(url, 'sh', { args: ['-c', both], tag: 'session' })
  const terminal = await start(url, 'sh', { args: ['-c', deaf], tag: 'terminal', pty: { cols: 80, rows: 24 } })
  const streams = [job, leader, session, terminal]
  const pids = await Promise.all(streams.map(pidOf))
  await Promise.all(streams.map((stream) => outputUntil(stream, 'up')))
  const begun = performance.now()
  const kills = [
    ...['job', 'session'].map((tag) => call(url, 'jobs.v1.Jobs/Kill', { job: { tag }, graceMs: GRACE_MS })),
    call(url, 'jobs.v1.Jobs/Kill', { job: { tag: 'leader' }, graceMs: GRACE_MS, scope: 'SCOPE_LEADER' }),
    call(url, 'terminals.v1.Terminals/Close', { terminal: { name: 'terminal' }, graceMs: GRACE_MS }),
  ].map((answer) => answer.catch(() => undefined))
  await Promise.all(streams.map((stream) => outputUntil(stream, 'got')))
  await exchange(daemon)
  await Promise.all(kills)
  const living = async () => Promise.all(pids.map(membersOf))
  await expect.poll(living, { timeout: 10_000 }).toEqual([0, 0, 0, 0])
  expect(performance.now() - begun).toBeGreaterThan(GRACE_MS - 100)
  const { body } = await call(url, 'jobs.v1.Jobs/List', {})
  const ends = Object(body).jobs.map(({ tag, status }: Record<string, string>) => [tag, status])
  expect(Object.fromEntries(ends)).toEqual({
    ...{ job: 'signal: killed', leader: 'signal: killed', terminal: 'signal: killed', session: 'exit status 3' },
  })
})

test('a kill that all have heeded before a crash kills nobody after it', async () => {
  await using daemon = await startKept()
  const { url } = daemon
  const stream = await start(url, 'sh', {
    args: ['-c', 'trap "" HUP; sleep 1000 >&- 2>&- & trap - HUP; echo $!; wait'],
    tag: 'one',
  })
  const left = Number(await outputUntil(stream, '\n'))
  try {
    const answer = await call(url, 'jobs.v1.Jobs/Kill', { job: { tag: 'one' }, graceMs: GRACE_MS })
    expect(answer.body).toMatchObject({ job: { status: 'signal: terminated' } })
    await crash(daemon)
    const { body } = await call(url, 'jobs.v1.Jobs/Get', { job: { tag: 'one' } })
    expect(body).toMatchObject({ job: { status: 'signal: terminated' } })
    expect(await readFile(`/proc/${left}/stat`, 'latin1')).toMatch(/\) [RSD] /)
  } finally {
    process.kill(left, 'SIGKILL')
  }
})
