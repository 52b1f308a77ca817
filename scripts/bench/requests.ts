import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { latencyOf, lower, type Measure } from './measure.ts'

export const health: Measure = {
  name: 'health',
  async run({ client }) {
    const { p50 } = await latencyOf(() => client.send({ method: 'GET', path: '/health' }), { count: 1000 })
    return [lower('GET /health p50, ms', p50, 0.245)]
  },
}

export const metrics: Measure = {
  name: 'metrics',
  async run({ client }) {
    const { p50 } = await latencyOf(() => client.send({ method: 'GET', path: '/metrics' }), { count: 300 })
    return [lower('GET /metrics p50, ms', p50, 0.47)]
  },
}

export const stat: Measure = {
  name: 'stat',
  async run({ client }) {
    const call = () => client.unary('filesystem.Filesystem/Stat', { path: '/etc/passwd' })
    const { p50 } = await latencyOf(call, { count: 1000 })
    return [lower('Stat p50, ms', p50, 0.32)]
  },
}

const ENTRIES = 10_000

export const list: Measure = {
  name: 'list',
  async run({ client, dir }) {
    const path = join(dir, 'list')
    await mkdir(path, { recursive: true })
    for (let i = 0; i < ENTRIES; i++) await writeFile(join(path, `file${i}`), '')
    const call = async () => {
      const { size } = await client.unary('filesystem.Filesystem/ListDir', { path, depth: 1 })
      if (size < ENTRIES * 100) throw new Error(`the list has only ${size} bytes`)
    }
    const { p50 } = await latencyOf(call, { count: 10, warm: 2 })
    return [lower('ListDir of 10,000 entries p50, ms', p50, 231)]
  },
}
