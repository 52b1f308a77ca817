import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { call, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { kill, sendSignal } from './calls.ts'
import { inParallel, outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const daemon = sharedDaemon()
const BYSTANDERS = 1000
const COMMANDS = 300

/** A command that has a child, in the same session. */
async function startPair() {
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'sleep 300 & echo $!; wait'] })
  const pid = await startedPid(stream)
  return { stream, pid, child: Number(await outputUntil(stream, '\n')) }
}

async function startCrowd(url = daemon.url) {
  const script = `for i in $(seq ${BYSTANDERS}); do sleep 300 & done; echo up; wait`
  const stream = await start(url, '/bin/sh', { args: ['-c', script] })
  const pid = await startedPid(stream)
  await outputUntil(stream, 'up')
  return { stream, pid }
}

async function startPairs() {
  const pairs: Awaited<ReturnType<typeof startPair>>[] = []
  await inParallel(COMMANDS, 8, async () => void pairs.push(await startPair()))
  return pairs
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await work()
  return performance.now() - begun
}

test.each(['one after the other', 'all at once'])(
  'D57 D60 300 kills among 1,000 processes, %s, reach all children and take no longer than calls that do nothing',
  { timeout: 120_000 },
  async (how) => {
    const crowd = await startCrowd()
    const pairs = await startPairs()
    const ends = Promise.all(pairs.map(({ stream }) => stream.rest()))
    const kills: number[] = []
    const others: number[] = []
    await inParallel(COMMANDS, how === 'all at once' ? COMMANDS : 1, async (index) => {
      const pid = pairs[index]?.pid ?? 0
      others.push(await milliseconds(() => call(daemon.url, 'process.Process/Update', { process: { pid } })))
      kills.push(await milliseconds(async () => expect((await kill(daemon.url, { pid })).status).toBe(200)))
    })
    // Other work of the machine slows both; a look at every process took 20 times as long.
    expect(median(kills)).toBeLessThan(5 * median(others) + 2)
    for (const { messages } of await ends) expect(messages.at(-1)?.event.end?.status).toBe('signal: killed')
    for (const { child } of pairs) await expect.poll(async () => !(await alive(child))).toBe(true)
    await kill(daemon.url, { pid: crowd.pid })
    await crowd.stream.rest()
    await expect.poll(async () => (await membersOf(crowd.pid)) === 0).toBe(true)
  },
)

test('D57 a kill that was confirmed is carried out though the daemon stops at once', async () => {
  await using own = await startDaemon({ args: ['-kill-on-exit=false'] })
  const { stream, pid } = await startCrowd(own.url)
  const ended = stream.rest().catch(() => {})
  expect((await kill(own.url, { pid })).status).toBe(200)
  await own.stop()
  await ended
  await expect.poll(async () => (await membersOf(pid)) === 0).toBe(true)
})

/** Pids in the session that are no zombies. */
async function membersOf(sid: number): Promise<number> {
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger)
  const stats = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')))
  return stats.filter((stat) => {
    const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state !== 'Z' && Number(session) === sid
  }).length
}

test.each(['SIGNAL_SIGKILL', 'SIGNAL_SIGTERM'])(
  'D58 at the moment of the exit the answer to %s is an empty one or not_found',
  async (signal) => {
    await inParallel(200, 16, async (index) => {
      const stream = await start(daemon.url, '/bin/sh', { args: ['-c', `exec sleep 0.0${index % 10}`] })
      const pid = await startedPid(stream)
      const [{ status, body }, said] = await Promise.all([sendSignal(daemon.url, { pid }, signal), stream.rest()])
      expect(status === 200 ? { code: 'ok', ...Object(body) } : body).toMatchObject({
        code: status === 200 ? 'ok' : 'not_found',
      })
      expect(said.messages.at(-1)?.event.end?.status).toMatch(/^(exit status 0|signal: (killed|terminated))$/)
    })
  },
)
