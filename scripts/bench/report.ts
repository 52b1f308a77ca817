import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, loadavg, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Comparison } from './compare.ts'
import type { Row } from './measure.ts'

/** Prints the rows as a table, beside the reference's figures. */
export function printTable(rows: readonly Row[]): void {
  const cells = rows.map(({ measure, value, reference, note }) => [
    measure,
    value === undefined ? `- (${note ?? 'not measured'})` : shown(value),
    reference === undefined ? '' : String(reference),
  ])
  print([['measure', 'this daemon', 'reference'], ...cells])
}

/** Prints both daemons' figures and their ratio. */
export function printComparison(rows: readonly Comparison[]): void {
  const cells = rows.map(({ measure, own, other, ratio }) => [measure, ...[own, other, ratio].map(shown)])
  print([['measure', 'this daemon', 'the other', 'ratio'], ...cells])
}

/** Prints lines of cells in columns, the first line being their heads. */
export function print(lines: readonly (readonly string[])[]): void {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  for (const line of lines)
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(' | ')
        .trimEnd(),
    )
}

/** Three digits that count. */
function shown(value: number | undefined): string {
  if (value === undefined) return '-'
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(value < 0.1 ? 3 : 2)
}

/** Writes the figures to `bench-results/<date>.json`; gives the path. */
export async function writeResults(results: object, date: Date): Promise<string> {
  const dir = fileURLToPath(new URL('../../bench-results/', import.meta.url))
  await mkdir(dir, { recursive: true })
  const path = `${dir}${date.toISOString().slice(0, 19).replaceAll(':', '-')}.json`
  const machine = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    kernel: release(),
    load: loadavg()[0],
    node: process.version,
  }
  await writeFile(path, `${JSON.stringify({ date: date.toISOString(), machine, ...results }, undefined, 2)}\n`)
  return path
}

/** Of several runs of the same measures, the better figure of each. */
export function bestOf(runs: readonly (readonly Row[])[]): Row[] {
  const best = new Map<string, Row>()
  for (const row of runs.flat()) {
    const known = best.get(row.measure)
    if (known === undefined || known.value === undefined || isBetter(row, known.value)) best.set(row.measure, row)
  }
  return [...best.values()]
}

function isBetter({ value, better }: Row, known: number): boolean {
  return value !== undefined && (better === 'lower' ? value < known : value > known)
}
