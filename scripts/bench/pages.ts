import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { lower, type Measure, quantile, type Row } from './measure.ts'

const ROUNDS = 5
const BETWEEN_MS = 300

/**
 * Memory that the daemon touches for a call: what a machine that was restored lazily from a snapshot has to fetch first
 * (proc_pid_clear_refs(5)). The median of several rounds.
 */
export const pages: Measure = {
  name: 'pages',
  async run({ client, pid }) {
    const works: readonly [string, number, () => Promise<unknown>][] = [
      ['an idle second', 2.8, () => setTimeout(1000)],
      ['GET /health', 3.3, () => client.send({ method: 'GET', path: '/health' })],
      ['POST /init', 5.2, () => client.send({ method: 'POST', path: '/init', body: Buffer.from('{}') })],
      ['Stat', Number.NaN, () => client.unary('filesystem.Filesystem/Stat', { path: '/etc/passwd' })],
    ]
    const rows: Row[] = []
    for (const [name, reference, work] of works) {
      const known = Number.isNaN(reference) ? undefined : reference
      const touched = pid === undefined ? undefined : await touchedBy(pid, work)
      rows.push(lower(`pages touched by ${name}, MB`, touched, known))
    }
    return rows
  },
}

async function touchedBy(pid: number, work: () => Promise<unknown>): Promise<number> {
  const touched: number[] = []
  await work()
  for (let i = 0; i < ROUNDS; i++) {
    await setTimeout(BETWEEN_MS)
    writeFileSync(`/proc/${pid}/clear_refs`, '1')
    await work()
    touched.push(referenced(pid))
  }
  return quantile(touched, 0.5)
}

/** Megabytes (of 1024 kB) of all mappings that were accessed since the last clear_refs. */
function referenced(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  return Number(/^Referenced:\s+(\d+) kB$/m.exec(rollup)?.[1]) / 1024
}
