import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'

const ROUNDS = 5
const TICK_MS = 10

/** What the daemon has taken since its start. */
async function costOf(pid: number) {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1')
  return {
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    privateKb: ['Private_Clean', 'Private_Dirty'].reduce(
      (sum, name) => sum + Number(new RegExp(`${name}:\\s*(\\d+)`).exec(rollup)?.[1]),
      0,
    ),
  }
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

test('an idle daemon takes no more memory, and no more time to start, with the console than without', async () => {
  const costs = { on: [], off: [] } as Record<'on' | 'off', Awaited<ReturnType<typeof costOf>>[]>
  for (let round = 0; round < ROUNDS; round++)
    for (const console of ['on', 'off'] as const) {
      await using daemon = await startDaemon({ args: ['-console', console] })
      expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
      costs[console].push(await costOf(daemon.pid))
    }
  const of = (which: 'on' | 'off', what: 'cpuMs' | 'privateKb') => costs[which].map((cost) => cost[what])
  for (const what of ['cpuMs', 'privateKb'] as const)
    console.log(`${what}: on ${of('on', what).join(' ')}, off ${of('off', what).join(' ')}`)
  expect(median(of('on', 'privateKb')) - median(of('off', 'privateKb'))).toBeLessThan(1024)
  expect(Math.min(...of('on', 'cpuMs')) - Math.min(...of('off', 'cpuMs'))).toBeLessThanOrEqual(3 * TICK_MS)
})
