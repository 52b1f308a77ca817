/** Measures the daemon and prints its figures beside those of the reference. */
import { readOptions } from '../read-options.ts'
import { bare } from './bare.ts'
import { startsPerSecond, startTrue } from './commands.ts'
import { compare } from './compare.ts'
import { bigFile, downloads, smallUploads, uploads } from './files.ts'
import { firstCalls } from './first-calls.ts'
import { flood } from './flood.ts'
import { init } from './init.ts'
import { initVm } from './init-vm.ts'
import { inputEcho, keyPress } from './input.ts'
import { kills } from './kills.ts'
import { lower, type Measure, type Row } from './measure.ts'
import { outputBinary, outputJson, outputLines } from './output.ts'
import { pages } from './pages.ts'
import { bestOf, print, printComparison, printTable, writeResults } from './report.ts'
import { health, list, metrics, stat } from './requests.ts'
import { measureScale, scaleCells } from './scale.ts'
import { compose, multipart, smallFiles } from './small-files.ts'
import { spawnLatency } from './spawn.ts'
import { idle, peak, startUp } from './start.ts'
import { type Command, makeTarget, OWN, takePeak } from './target.ts'
import { watching } from './watch.ts'
import { watchTree } from './watch-tree.ts'

/** In this order: idle comes before anything has been done, the peak after everything but the largest files. */
const measures: readonly Measure[] = [
  idle,
  startUp,
  bare,
  firstCalls,
  health,
  metrics,
  stat,
  init,
  initVm,
  pages,
  startTrue,
  startsPerSecond,
  outputJson,
  outputBinary,
  outputLines,
  uploads,
  downloads,
  smallUploads,
  smallFiles,
  multipart,
  compose,
  list,
  keyPress,
  inputEcho,
  kills,
  flood,
  watching,
  watchTree,
  peak,
  bigFile,
  spawnLatency,
]

/** Of this daemon alone: they say nothing about another one. */
const OWN_MEASURES: readonly Measure[] = [initVm, spawnLatency]

const USAGE = `usage: npm run bench [-- OPTIONS]
--only A,B         these measures only
--repeat N         the better of N runs
--url URL          a daemon that runs already
--against COMMAND  another daemon with the same flags, in turn with this one: medians and their ratio
--rounds N         so many turns (3)
--scale            instead: what the daemon takes as streams, terminals, uploads and commands become many
measures: ${measures.map(({ name }) => name).join(', ')}`

const values = readOptions(USAGE, {
  only: { type: 'string' },
  repeat: { type: 'string', default: '1' },
  url: { type: 'string' },
  against: { type: 'string' },
  rounds: { type: 'string', default: '3' },
  scale: { type: 'boolean', default: false },
})
const only = values.only?.split(',')
const unknown = only?.filter((name) => !measures.some((measure) => measure.name === name)) ?? []
if (!values.scale && unknown.length > 0) {
  console.error(`no such measure: ${unknown.join(', ')}; there are ${measures.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const chosen = measures.filter(({ name }) => only?.includes(name) ?? true)

const date = new Date()
if (values.scale) await measureAtScale()
else if (values.against === undefined) await measureAlone(Number(values.repeat))
else await measureAgainst(values.against.split(/\s+/), Number(values.rounds))

async function measureAtScale(): Promise<void> {
  const rows = await measureScale(only)
  print(scaleCells(rows))
  console.log(`written to ${await writeResults({ scale: rows }, date)}`)
}

async function measureAlone(repeat: number): Promise<void> {
  const runs: Row[][] = []
  for (let i = 0; i < repeat; i++) runs.push(await runAll(chosen, OWN, values.url))
  const rows = bestOf(runs)
  printTable(rows)
  console.log(`written to ${await writeResults({ rows }, date)}`)
}

/** The two in turn, so that what the machine does meanwhile hits both. */
async function measureAgainst(other: Command, rounds: number): Promise<void> {
  const common = chosen.filter((measure) => !OWN_MEASURES.includes(measure))
  const own: Row[][] = []
  const others: Row[][] = []
  for (let i = 0; i < rounds; i++) {
    own.push(await runAll(common, OWN))
    others.push(await runAll(common, other))
  }
  const comparison = compare(own, others)
  printComparison(comparison)
  console.log(`written to ${await writeResults({ other, rounds, comparison }, date)}`)
}

/** Every measure, against one daemon, and the peaks of its memory. A measure that fails is reported and has no rows. */
async function runAll(wanted: readonly Measure[], command: Command, url?: string): Promise<Row[]> {
  await using target = await makeTarget(command, url)
  const rows: Row[] = []
  const peaks: Row[] = []
  for (const { name, run } of wanted) {
    console.error(`measuring ${name} of ${url ?? command[0]}`)
    try {
      rows.push(...(await run(target)))
    } catch (error) {
      console.error(`${name} failed:`, error)
      process.exitCode = 1
    }
    if (target.pid === undefined) continue
    const most = takePeak(target.pid)
    target.peaks.push(most)
    peaks.push(lower(`peak resident memory during ${name}, MB`, most))
  }
  return [...rows, ...peaks]
}
