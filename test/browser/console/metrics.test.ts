import { createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { beforeEach, expect, test } from 'vitest'
import { Metrics } from '../../../src/gen/metrics/metrics_pb.js'
import { needsChromium } from '../browser.ts'
import { openConsole } from './open-console.ts'

beforeEach(needsChromium)

/** What a page says in its console while its daemon is away. */
const LOST = /ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|ERR_ABORTED/

test('plots are drawn, their values are those of metrics.Metrics/List, and a restart is marked', async () => {
  await using opened = await openConsole({ restarts: true, tolerates: [LOST] })
  const { page, daemon } = opened
  const metrics = createClient(Metrics, createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1' }))
  await page.getByRole('link', { name: 'Metrics' }).click()
  await page.getByRole('img', { name: /^Memory: used .* limit / }).waitFor()
  expect(await page.locator('canvas').count()).toBe(5)
  await page.getByText('Values', { exact: true }).click()
  const table = page.getByRole('region', { name: 'Values of the plots' })
  await table.locator('tbody tr').nth(2).waitFor()
  const { samples } = await metrics.list({})
  const rows = await table
    .locator('tbody tr')
    .evaluateAll((all) =>
      all.map((row) =>
        [...row.querySelectorAll('time, data')].map(
          (cell) => cell.getAttribute('datetime') ?? cell.getAttribute('value'),
        ),
      ),
    )
  const listed = samples.map((sample) => {
    const { timestamp, cpuUsedPct, memUsed, memCache, memTotal, diskUsed, diskTotal, ioReadBytes, ioWrittenBytes } =
      sample
    const time = new Date(Number(timestamp?.seconds) * 1000 + (timestamp?.nanos ?? 0) / 1e6).toISOString()
    const { commandCount, processCount, oomKills, serviceRestarts } = sample
    return [
      time,
      cpuUsedPct,
      memUsed,
      memCache,
      memTotal,
      diskUsed,
      diskTotal,
      ioReadBytes,
      ioWrittenBytes,
      commandCount,
      processCount,
      oomKills,
      serviceRestarts,
    ].map(String)
  })
  expect(rows.length).toBeGreaterThan(2)
  for (const row of rows) expect(listed).toContainEqual(row)
  process.kill(daemon.pid, 'SIGKILL')
  await page.getByRole('list', { name: 'Events' }).getByText('daemon restarted').waitFor()
})
