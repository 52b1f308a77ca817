import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { latencyOf, latencyRows, type Measure, type Row } from './measure.ts'

export const health: Measure = {
  name: 'health',
  async run({ client }) {
    const latency = await latencyOf(() => client.send({ method: 'GET', path: '/health' }), { count: 3000, warm: 1000 })
    return latencyRows('GET /health', latency, { p50: 0.11 })
  },
}

export const metrics: Measure = {
  name: 'metrics',
  async run({ client }) {
    const latency = await latencyOf(() => client.send({ method: 'GET', path: '/metrics' }), { count: 300 })
    return latencyRows('GET /metrics', latency, { p50: 0.47 })
  },
}

export const stat: Measure = {
  name: 'stat',
  async run({ client }) {
    const call = () => client.unary('filesystem.Filesystem/Stat', { path: '/etc/passwd' })
    return latencyRows('Stat', await latencyOf(call, { count: 3000, warm: 1000 }), { p50: 0.14, p95: 0.2 })
  },
}

const SIZES: readonly (readonly [entries: number, count: number, reference?: number])[] = [
  [10, 1000],
  [1000, 100],
  [10_000, 10, 139],
]

/** The fewest bytes that an entry takes. */
const MIN_ENTRY_BYTES = 100

export const list: Measure = {
  name: 'list',
  async run({ client, dir }) {
    const rows: Row[] = []
    for (const [entries, count, reference] of SIZES) {
      const path = join(dir, `list-${entries}`)
      await mkdir(path, { recursive: true })
      for (let i = 0; i < entries; i++) await writeFile(join(path, `file${i}`), '')
      const call = async () => {
        const { size } = await client.unary('filesystem.Filesystem/ListDir', { path, depth: 1 })
        if (size < entries * MIN_ENTRY_BYTES) throw new Error(`the list has only ${size} bytes`)
      }
      const known = reference === undefined ? {} : { p50: reference }
      const latency = await latencyOf(call, { count, warm: Math.min(count, 30) })
      rows.push(...latencyRows(`ListDir of ${entries} entries`, latency, known))
    }
    return rows
  },
}
