import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { pidOf, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { list, sendInput } from '../process/calls.ts'
import { startKept } from './crash.ts'
import { followExactly, untilAnswered } from './exact-follower.ts'
import { descriptorsOf, randomNumbers, runCommands, upload, zombiesBelow } from './mixed-load.ts'
import { buildVariant, LAUNCHER, writeProgram } from './variant.ts'

/** By hand: ENVD_UPGRADE_ROUNDS=100 ENVD_UPGRADE_SEED=… */
const ROUNDS = Number(process.env['ENVD_UPGRADE_ROUNDS'] ?? 3)
const SEED = Number(process.env['ENVD_UPGRADE_SEED'] ?? Date.now() % 1_000_000)

/** Loads under way at a time: more would starve the client of the test, and not the daemon. */
const LOADS = 6

/** Seconds that exits are kept: longer than a client on a loaded machine lags behind one that has ended. */
const KEPT_S = 60

test(`upgraded ${ROUNDS} times and back in the middle of a mixed load, the daemon loses nothing (seed ${SEED})`, {
  timeout: 60_000 + ROUNDS * 20_000,
}, async () => {
  const random = randomNumbers(SEED)
  await using dir = await makeTmpDir()
  await using next = await makeTmpDir(0o755)
  await using back = await makeTmpDir(0o755)
  await buildVariant(next.path, { version: '0.9.2' })
  await writeProgram(back.path, `exec ${LAUNCHER} "$@"`)
  await using daemon = await startKept({ args: ['-keep-exits', String(KEPT_S)] })
  const { url } = daemon
  const status = async () => JSON.parse((await sendWhole(`${url}/upgrade/status`)).text)
  const terminal = await pidOf(await start(url, 'bash', { args: ['--norc'], pty: { cols: 80, rows: 24 } }))
  const server = await pidOf(await start(url, 'sh', { args: ['-c', 'while :; do echo tick; sleep 0.01; done'] }))
  let typed = ''
  const typing = followExactly(url, terminal, (text) => {
    typed += text
  })
  const pauses: number[] = []
  for (let round = 0; round < ROUNDS * 2; round++) {
    const { path, version } =
      round % 2 === 0 ? { path: next.path, version: '0.9.2' } : { path: back.path, version: '0.9.1' }
    const headers = { 'x-envd-upgrade-bundle': path }
    const exchanged = sendWhole(`${url}/upgrade`, { method: 'POST', headers }).then(
      ({ text }) => expect.unreachable(text),
      () => {},
    )
    // So that much of it is under way when the other daemon has loaded.
    const load: Promise<void>[] = []
    let underWay = 0
    let over = false
    const begin = (file: string) => {
      underWay++
      const one = Promise.all([
        runCommands(url, `${file}.bytes`, Math.floor(random() * 200)),
        upload(url, `${file}.upload`),
      ]).then(() => {
        underWay--
      })
      one.catch(() => {})
      load.push(one)
    }
    const loading = (async () => {
      for (let i = 0; !over; i++) {
        if (underWay < LOADS) begin(join(dir.path, `${round}-${i}`))
        await delay(200 + random() * 400)
      }
    })()
    await exchanged
    await expect.poll(status).toMatchObject({ version, state: 'upgraded' })
    over = true
    await loading
    pauses.push((await status()).pauseMs)
    await untilAnswered(() => sendInput(url, { pid: terminal }, { pty: `echo "mar""k ${round}."\n` }))
    await Promise.all(load)
    await expect.poll(() => typed.split(`mark ${round}.\r\n`).length - 1).toBe(1)
  }
  expect((await list(url)).map(({ pid }) => pid)).toEqual(expect.arrayContaining([terminal, server]))
  await expect.poll(() => zombiesBelow(daemon.launched)).toEqual([])
  await sendInput(url, { pid: terminal }, { pty: 'exit 9\n' })
  expect((await typing).status).toBe('exit status 9')
  const sorted = pauses.sort((a, b) => a - b)
  const descriptors = await descriptorsOf(daemon.pid)
  console.log(JSON.stringify({ seed: SEED, median_ms: sorted[ROUNDS], most_ms: sorted.at(-1), descriptors }))
})
