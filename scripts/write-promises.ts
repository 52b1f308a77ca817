/**
 * Writes into the table of promises what became of each one's test in a run: write-promises.ts LOG PAGE. The log has
 * the lines `result: {…}` that the reporter prints with ENVD_TEST_RESULTS=1. Promises whose test did not run keep what
 * stood there.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { promisesOf } from './promises.ts'

/** As the reporter prints it. */
interface Result {
  readonly file: string
  readonly title: string
  readonly state: string
  readonly ms: number
}

const [log, page] = process.argv.slice(2)
if (log === undefined || page === undefined) throw new Error('usage: write-promises.ts LOG PAGE')

const results = [...readFileSync(log, 'utf8').matchAll(/^result: (\{.*\})$/gm)].map(
  ([, json = '']): Result => JSON.parse(json),
)
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
const when = `${new Date().toISOString().slice(0, 10)}, ${commit}`
let text = readFileSync(page, 'utf8')
let written = 0
for (const { line, file, title } of promisesOf(text)) {
  const found = results.filter((result) => result.file === file && title !== undefined && isTitle(title, result.title))
  if (found.length === 0) continue
  text = text.replace(line, line.replace(/\|[^|]*\|$/, `| ${outcome(found)} (${when}) |`))
  written++
}
writeFileSync(page, text)
console.log(`${results.length} tests, ${written} promises written to ${page}`)

/** A title as it stands in the file may have places that the run has filled in. */
function isTitle(source: string, title: string): boolean {
  const parts = source.split(/\$\{[^}]*\}|%[sdifjo]|\$\w+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(parts.join('.*')).test(title)
}

function outcome(found: readonly Result[]): string {
  const of = (state: string) => found.filter((result) => result.state === state)
  if (of('failed').length > 0) return found.length === 1 ? 'failed' : `${of('failed').length} of ${found.length} failed`
  if (of('passed').length === 0) return 'not run'
  const seconds = of('passed').reduce((sum, { ms }) => sum + ms, 0) / 1000
  return `passed in ${seconds.toFixed(1)} s`
}
