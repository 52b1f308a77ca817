import { Client } from './client.ts'
import { latencyOf, lower, type Measure, quantile, type Row } from './measure.ts'
import { end, type Target } from './target.ts'

const FRESH = 5

/** What is called, each on daemons of its own. */
const CALLS: readonly (readonly [name: string, call: (client: Client) => Promise<unknown>])[] = [
  ['GET /health', (client) => client.send({ method: 'GET', path: '/health' })],
  ['Stat', (client) => client.unary('filesystem.Filesystem/Stat', { path: '/etc/passwd' })],
  ['ListDir', (client) => client.unary('filesystem.Filesystem/ListDir', { path: '/etc/init.d', depth: 1 })],
  ['Start', (client) => client.start('/bin/true')],
]

/**
 * What a young daemon takes, and most sandboxes are young: its first call, and the medians of calls 1 to 100 and 100 to
 * 1,000.
 */
export const firstCalls: Measure = {
  name: 'first',
  async run(target) {
    if (target.pid === undefined)
      return [lower('the first calls', undefined, undefined, 'only for a daemon that the benchmark starts')]
    const rows: Row[] = []
    for (const [name, call] of CALLS) rows.push(...(await measure(target, name, call)))
    return rows
  },
}

async function measure(target: Target, name: string, call: (client: Client) => Promise<unknown>): Promise<Row[]> {
  const runs: { readonly first: number; readonly young: number; readonly warm: number }[] = []
  for (let i = 0; i < FRESH; i++) {
    const launched = await target.launch()
    const client = new Client(launched.url)
    try {
      const p50 = async (count: number) => (await latencyOf(() => call(client), { count, warm: 0 })).p50
      runs.push({ first: await p50(1), young: await p50(99), warm: await p50(900) })
    } finally {
      client.close()
      await end(launched)
    }
  }
  const median = (of: 'first' | 'young' | 'warm') =>
    quantile(
      runs.map((run) => run[of]),
      0.5,
    )
  return [
    lower(`${name}, first call of a fresh daemon, ms`, median('first')),
    lower(`${name}, calls 1 to 100, p50, ms`, median('young')),
    lower(`${name}, calls 100 to 1,000, p50, ms`, median('warm')),
  ]
}
