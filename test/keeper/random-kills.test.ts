import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call, pidOf, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { list, sendInput } from '../process/calls.ts'
import { startKept } from './crash.ts'
import { followExactly, untilAnswered } from './exact-follower.ts'
import { descriptorsOf, openKinds, pssOf, randomNumbers, runCommands, upload, zombiesBelow } from './mixed-load.ts'

/** By hand: ENVD_KILL_ROUNDS=1000 ENVD_KILL_SEED=… */
const ROUNDS = Number(process.env['ENVD_KILL_ROUNDS'] ?? 12)
const SEED = Number(process.env['ENVD_KILL_SEED'] ?? Date.now() % 1_000_000)

/**
 * Time that exits are kept: longer than a restart takes on a loaded machine, or they are over when clients ask again;
 * and short, so that no keeper is full of them when its descriptors are counted.
 */
const KEPT_MS = 15_000

/** Memory that is of no command: the state, and that of output. */
const KEPT_OF_DAEMON = 2

/** The start command, the terminal and the one that ticks. Probes of the start command come and go. */
const LASTING = 3

test(`killed ${ROUNDS} times at random moments of a mixed load, the daemon loses nothing (seed ${SEED})`, {
  timeout: 60_000 + ROUNDS * 6_000,
}, async () => {
  console.log(`seed ${SEED}`)
  const random = randomNumbers(SEED)
  await using dir = await makeTmpDir()
  const startCommand = `echo $$ >>${dir.path}/starts; exec sleep 100000`
  await using daemon = await startKept({
    args: ['-keep-exits', String(KEPT_MS / 1000), '-start-cmd', startCommand, '-ready-cmd', 'true'],
  })
  const { url } = daemon
  const service = async () => (await call(url, 'supervisor.Supervisor/Get', {})).body
  await expect.poll(service).toMatchObject({ status: { state: 'STATE_READY' } })
  const terminal = await pidOf(await start(url, 'bash', { args: ['--norc'], pty: { cols: 80, rows: 24 } }))
  const server = await pidOf(await start(url, 'sh', { args: ['-c', 'while :; do echo tick; sleep 0.01; done'] }))
  let typed = ''
  const typing = followExactly(url, terminal, (text) => {
    typed += text
  })
  const before = await kindsWith(LASTING, daemon.launched)
  const figures: object[] = []
  const waits: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const commands = runCommands(url, join(dir.path, `bytes-${round}`), Math.floor(random() * 200))
    const uploads = upload(url, join(dir.path, `upload-${round}`))
    const outcome = Promise.all([commands, uploads])
    outcome.catch(() => {})
    await delay(random() * 400)
    const killed = performance.now()
    process.kill(daemon.pid, random() < 0.7 ? 'SIGKILL' : 'SIGSEGV')
    expect((await sendWhole(`${url}/health`)).status).toBe(204)
    waits.push(performance.now() - killed)
    await untilAnswered(() => sendInput(url, { pid: terminal }, { pty: `echo "mar""k ${round}."\n` }))
    await outcome
    await expect.poll(() => typed.split(`mark ${round}.\r\n`).length - 1).toBe(1)
    if (round % 50 === 49 || round === ROUNDS - 1) {
      figures.push({
        daemon: await pssOf(daemon.pid),
        descriptors: await descriptorsOf(daemon.pid),
        keeper: await pssOf(daemon.launched),
      })
      console.log(JSON.stringify({ round, health_ms: quantiles(waits), ...figures.at(-1) }))
    }
  }
  expect((await list(url)).map(({ pid }) => pid)).toEqual(expect.arrayContaining([terminal, server]))
  await expect.poll(() => zombiesBelow(daemon.launched)).toEqual([])
  const starts = (await readFile(join(dir.path, 'starts'), 'utf8')).trim().split('\n')
  expect(starts, daemon.stdout().replaceAll(/.*started again.*\n/g, '')).toHaveLength(1)
  expect(await kindsWith(LASTING, daemon.launched)).toEqual(before)
  await sendInput(url, { pid: terminal }, { pty: 'exit 9\n' })
  expect((await typing).status).toBe('exit status 9')
  console.log(JSON.stringify({ rounds: ROUNDS, health_ms: quantiles(waits), before: before.length, figures }))
})

/** What a keeper has once it has something of that many commands, and is not about to close what is of an ended one. */
async function kindsWith(commands: number, keeper: number): Promise<string[]> {
  let kinds: string[] = []
  const records = async () => {
    const [first, second] = [await openKinds(keeper), await openKinds(keeper)]
    if (first === undefined || first.join() !== second?.join()) return undefined
    kinds = first
    return first.filter((kind) => kind.startsWith('/memfd:')).length - KEPT_OF_DAEMON
  }
  await expect.poll(records, { timeout: 2 * KEPT_MS }).toBe(commands)
  return kinds
}

/** Milliseconds from a kill to the answer of the next daemon. */
function quantiles(waits: readonly number[]) {
  const sorted = [...waits].sort((a, b) => a - b)
  const at = (part: number) => Math.round(sorted[Math.floor(part * (sorted.length - 1))] ?? 0)
  return { median: at(0.5), p90: at(0.9), p99: at(0.99), most: at(1), above_300: waits.filter((ms) => ms > 300).length }
}
