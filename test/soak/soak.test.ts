import { mkdir } from 'node:fs/promises'
import { beforeAll, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, shell } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { chosenSeed, seeded } from '../hostile/random.ts'
import { startEcho } from './echo.ts'
import { runLanes } from './lanes.ts'
import { namesBelow } from './measure.ts'
import { drawn, judged, type Sample, sampleOf, sampling } from './samples.ts'
import { CLIENTS } from './traffic/clients.ts'
import { COMMANDS } from './traffic/commands.ts'
import { FILE_CALLS } from './traffic/files.ts'
import { SDKS } from './traffic/sdks.ts'
import { SERVICES } from './traffic/services.ts'
import { TERMINALS } from './traffic/terminals.ts'
import { endUnfinished, UPLOADS } from './traffic/uploads.ts'
import { WATCHES } from './traffic/watches.ts'
import { makeTrouble } from './trouble.ts'

const KINDS = [...COMMANDS, ...TERMINALS, ...UPLOADS, ...FILE_CALLS, ...WATCHES, ...SERVICES, ...CLIENTS, ...SDKS]

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 120)
/** A moderate load for two cores. */
const LANES = Number(process.env['SOAK_LANES'] ?? 5)
const PAUSE_MS = 400
/** A short run is sampled and troubled more often. */
const SHORT = MINUTES < 20
const SAMPLE_MS = SHORT ? 1000 : 10_000
const TROUBLE_MS = SHORT ? 6000 : 30_000
/** The part of the run in which daemons are exchanged; the curves of the last one are judged. */
const EXCHANGING = 0.3
/** Short, so that what is kept of ended commands is constant soon, and gone at the end. */
const KEPT_SECONDS = 10
/** What Node opens when it first needs it. */
const SPARE_DESCRIPTORS = 4
/** Commands end by themselves within 20 s; then their exits are kept. */
const SETTLED_MS = 90_000

// What the test makes is the default user's to change.
beforeAll(() => void process.umask(0))

/** What must be as it was when nothing is open any more; SDKs keep connections for later, which are theirs to close. */
function held({ daemon, keeper, all: { clients = 0, ...all } }: Sample, before?: Sample) {
  const own = (daemon['descriptors'] ?? 0) - clients
  const first = before === undefined ? own : (before.daemon['descriptors'] ?? 0) - (before.all['clients'] ?? 0)
  const moreDescriptors = own > first + SPARE_DESCRIPTORS ? own - first : 0
  return { ...all, moreDescriptors, watches: daemon['watches'], keeper: keeper['descriptors'] }
}

test(`${KINDS.length} kinds of traffic for ${MINUTES} minutes leave the daemon as it was`, {
  timeout: MINUTES * 60_000 + 600_000,
}, async (context) => {
  needsNamespace(context)
  const seed = chosenSeed('SOAK_SEED')
  console.log(`SOAK_SEED=${seed}`)
  await using dir = await makeTmpDir()
  await using echo = await startEcho()
  await mkdir(`${dir.path}/work`, { mode: 0o777 })
  // The daemon makes it at the first upload; it is there at the beginning as well.
  await mkdir(`${dir.path}/uploads`, { mode: 0o700 })
  const own = ['-address', 'localhost', '-default-user', 'user', '-keep-exits', String(KEPT_SECONDS)]
  const args = [...own, '-upload-dir', `${dir.path}/uploads`]
  await using daemon = await startDaemon({ port: 49983, restarts: true, args })
  await shell(daemon.url, 'true')
  const settled = { timeout: SETTLED_MS, interval: 500 }
  await expect.poll(async () => (await sampleOf(daemon, dir.path)).all['jobs'], settled).toBe(0)
  const before = await sampleOf(daemon, dir.path)

  const over = AbortSignal.timeout(MINUTES * 60_000)
  const ended = new AbortController()
  const exchanges = { count: 0 }
  const random = seeded(seed)
  const exchangeSeconds = MINUTES * 60 * EXCHANGING
  const field = { url: daemon.url, dir: `${dir.path}/work`, echoPort: echo.port }
  const traffic = runLanes({ field, kinds: KINDS, seed, lanes: LANES, pauseMs: PAUSE_MS, exchanges, over })
  const [outcome, troubles, samples] = await Promise.all([
    traffic.finally(() => ended.abort()),
    makeTrouble({ daemon, random, exchanges, exchangeSeconds, everyMs: TROUBLE_MS, over: ended.signal }),
    sampling(daemon, dir.path, SAMPLE_MS, ended.signal),
  ])
  const growths = judged(samples)
  const runs = [...outcome.runs.values()].reduce((sum, count) => sum + count, 0)
  console.log(JSON.stringify({ seed, kinds: outcome.runs.size, runs, cut: outcome.cut.length, ...troubles }))
  console.log(JSON.stringify({ before, last: samples.at(-1) }))
  console.log(`cut off:\n${outcome.cut.join('\n')}`)
  console.table(growths.map(({ of, name, from, growth, limit }) => ({ of, name, from, growth, limit })))
  // The namespace keeps no file; `scripts/test-soak --draw` takes these lines.
  if (process.env['SOAK_DRAW'] === '1')
    for (const [name, svg] of Object.entries(drawn(samples))) console.log(`curves of ${name}: ${svg}`)

  expect(outcome.failures, `SOAK_SEED=${seed}`).toEqual([])
  expect(outcome.runs.size).toBe(KINDS.length)
  expect(growths.filter(({ growth, limit }) => growth > limit)).toEqual([])
  expect(await endUnfinished(daemon.url, `${dir.path}/uploads`)).toBeLessThanOrEqual(outcome.cut.length)
  const nothingOpen = async () => held(await sampleOf(daemon, dir.path), before)
  try {
    await expect.poll(nothingOpen, settled).toEqual(held(before))
  } catch (error) {
    console.log(
      'left:',
      JSON.stringify((await call(daemon.url, 'process.Process/List', {})).body),
      namesBelow(dir.path),
    )
    throw error
  }
  console.log(JSON.stringify({ after: await sampleOf(daemon, dir.path) }))
  expect(daemon.stdout().match(/.*failed unexpectedly.*/)?.[0]).toBeUndefined()
})
