/**
 * Measures the daemon and prints its figures beside those of the reference.
 * --only a,b   these measures only     --repeat N   the better of N runs     --url URL   a daemon that runs already
 */
import { parseArgs } from 'node:util'
import { keyPress, startsPerSecond, startTrue } from './commands.ts'
import { bigFile, downloads, smallUploads, uploads } from './files.ts'
import { init } from './init.ts'
import { initVm } from './init-vm.ts'
import type { Measure, Row } from './measure.ts'
import { outputBinary, outputJson, outputLines } from './output.ts'
import { pages } from './pages.ts'
import { bestOf, printTable, writeResults } from './report.ts'
import { health, list, metrics, stat } from './requests.ts'
import { spawnLatency } from './spawn.ts'
import { idle, peak, startUp } from './start.ts'
import { makeTarget } from './target.ts'
import { watching } from './watch.ts'
import { watchTree } from './watch-tree.ts'

/** In this order: idle comes before anything has been done, the peak after everything but the largest files. */
const measures: readonly Measure[] = [
  idle,
  startUp,
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
  list,
  keyPress,
  watching,
  watchTree,
  peak,
  bigFile,
  spawnLatency,
]

const { values } = parseArgs({
  options: { only: { type: 'string' }, repeat: { type: 'string', default: '1' }, url: { type: 'string' } },
})
const only = values.only?.split(',')
const unknown = only?.filter((name) => !measures.some((measure) => measure.name === name)) ?? []
if (unknown.length > 0) {
  console.error(`no such measure: ${unknown.join(', ')}; there are ${measures.map(({ name }) => name).join(', ')}`)
  process.exit(2)
}
const chosen = measures.filter(({ name }) => only?.includes(name) ?? true)

const date = new Date()
const runs: Row[][] = []
for (let i = 0; i < Number(values.repeat); i++) runs.push(await runAll())
const rows = bestOf(runs)
printTable(rows)
console.log(`written to ${await writeResults(rows, date)}`)

/** Every measure, against one daemon. A measure that fails is told and has no rows. */
async function runAll(): Promise<Row[]> {
  await using target = await makeTarget(values.url)
  const rows: Row[] = []
  for (const { name, run } of chosen) {
    console.error(`measuring ${name}`)
    try {
      rows.push(...(await run(target)))
    } catch (error) {
      console.error(`${name} failed:`, error)
      process.exitCode = 1
    }
  }
  return rows
}
