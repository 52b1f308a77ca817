import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call, open, type ProcessMessage, pidOf, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { list, sendInput } from '../process/calls.ts'
import { startKept } from './crash.ts'

/** By hand: ENVD_KILL_ROUNDS=1000 ENVD_KILL_SEED=… */
const ROUNDS = Number(process.env['ENVD_KILL_ROUNDS'] ?? 15)
const SEED = Number(process.env['ENVD_KILL_SEED'] ?? Date.now() % 1_000_000)

/** mulberry32: the same numbers for the same seed. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** What a command that counts has written when it has ended. */
const LINES = 40
const EXPECTED = Array.from({ length: LINES }, (_, line) => `line ${line + 1} of the count\n`).join('')
const COUNT = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); echo "line $i of the count"; sleep 0.01; done; exit `

/** Repeats a call until a daemon answers it. */
async function untilAnswered<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch {
      await delay(5)
    }
  }
}

interface Outcome {
  readonly status: string | undefined
  /** Bytes that did not come, and those that were not what the command wrote at their place. */
  readonly missing: number
  readonly wrong: number
}

/** Follows a command to its end, through any number of crashes: where a stream breaks it goes on. */
async function followed(url: string, pid: number): Promise<Outcome> {
  let [offset, wrong, missing] = [0, 0, 0]
  const take = ({ event }: ProcessMessage) => {
    if (event.data?.stdout === undefined) return
    const bytes = Buffer.from(event.data.stdout, 'base64')
    const at = Number(event.data.offset ?? 0)
    missing += Math.max(0, at - offset)
    // Beyond all that there is: the daemon ended within a read, and positions have jumped, so that nothing is taken
    // for what it is not.
    if (at < EXPECTED.length) {
      if (bytes.toString() !== EXPECTED.slice(at, at + bytes.length)) wrong += bytes.length
    } else if (!EXPECTED.includes(bytes.toString())) wrong += bytes.length
    offset = at + bytes.length
  }
  for (;;) {
    const exact = { process: { pid }, resumeFrom: { stdout: String(offset) } }
    try {
      let stream = await open(url, 'process.Process/Connect', exact)
      let first = await stream.messages.next()
      // What was read by a daemon and not received by its client is gone with it.
      if (first.done && first.value.error?.code === 'out_of_range') {
        stream = await open(url, 'process.Process/Connect', { process: { pid } })
        first = await stream.messages.next()
      }
      if (first.done) throw new Error(JSON.stringify(first.value))
      for await (const message of stream.messages) {
        take(message)
        if (message.event.end !== undefined)
          return { status: message.event.end.status, missing: missing + Math.max(0, EXPECTED.length - offset), wrong }
      }
    } catch (error) {
      if (/not_found|invalid_argument/.test(String(error))) return { status: String(error), missing, wrong }
      await delay(5)
    }
  }
}

async function zombies(): Promise<string[]> {
  const stats = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')),
  )
  return stats.filter((stat) => /\) Z /.test(stat))
}

test(`killed ${ROUNDS} times at random moments of a mixed load, the daemon comes back and every command ends as it should (seed ${SEED})`, {
  timeout: 60_000 + ROUNDS * 4_000,
}, async () => {
  console.log(`seed ${SEED}`)
  const random = numbers(SEED)
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const body = JSON.stringify({ accessToken: undefined, envVars: { COLOUR: 'red' } })
  expect((await sendWhole(`${url}/init`, { method: 'POST', body })).status).toBe(204)
  const terminal = await pidOf(await start(url, 'bash', { args: ['--norc'], pty: { cols: 80, rows: 24 } }))
  const server = await pidOf(await start(url, 'sh', { args: ['-c', 'while :; do echo tick; sleep 0.01; done'] }))
  const held = async () => (await readdir(`/proc/${daemon.launched}/fd`)).length
  let [missing, slowest] = [0, 0]
  for (let round = 0; round < ROUNDS; round++) {
    const code = Math.floor(random() * 200)
    const pids = await Promise.all(
      [0, 1, 2].map((index) =>
        untilAnswered(async () => pidOf(await start(url, 'sh', { args: ['-c', COUNT + (code + index)] }))),
      ),
    )
    const outcomes = pids.map((pid) => followed(url, pid))
    const upload = sendWhole(`${url}/files?path=${dir.path}/f`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(200_000, 120),
    }).catch(() => undefined)
    await delay(random() * 300)
    const before = performance.now()
    process.kill(daemon.pid, random() < 0.7 ? 'SIGKILL' : 'SIGSEGV')
    expect((await sendWhole(`${url}/health`)).status).toBe(204)
    slowest = Math.max(slowest, performance.now() - before)
    await untilAnswered(() => sendInput(url, { pid: terminal }, { pty: `: ${round}\n` }))
    for (const [index, outcome] of outcomes.entries()) {
      const { status, wrong, ...lost } = await outcome
      expect([round, status, wrong]).toEqual([round, `exit status ${code + index}`, 0])
      missing += lost.missing
    }
    await upload
    if (round % 50 === 49) console.log(`${round + 1} rounds`)
  }
  const alive = (await list(url)).map(({ pid }) => pid).sort((a, b) => a - b)
  expect(alive).toEqual([terminal, server].sort((a, b) => a - b))
  await expect.poll(zombies).toEqual([])
  console.log(JSON.stringify({ rounds: ROUNDS, missing, slowest_health_ms: Math.round(slowest), held: await held() }))
  expect((await call(url, 'process.Process/List', {})).status).toBe(200)
})
