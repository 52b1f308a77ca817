import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { Sandbox } from 'e2b'
import { expect, test } from 'vitest'
import { Metrics, type Sample } from '../../src/gen/metrics/metrics_pb.js'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const daemon = sharedDaemon()

/** One entry of the platform's `GET /sandboxes/{id}/metrics`, made of a sample. */
function platformMetric(sample: Sample): Record<string, unknown> {
  const time = sample.timestamp === undefined ? 0 : timestampMs(sample.timestamp)
  return {
    timestamp: new Date(time).toISOString(),
    timestampUnix: Math.floor(time / 1000),
    cpuCount: sample.cpuCount,
    cpuUsedPct: sample.cpuUsedPct,
    memUsed: Number(sample.memUsed),
    memTotal: Number(sample.memTotal),
    memCache: Number(sample.memCache),
    diskUsed: Number(sample.diskUsed),
    diskTotal: Number(sample.diskTotal),
  }
}

/** The one route of the platform that returns metrics, answered from the history of the daemon. */
async function startPlatform(url: string) {
  const client = createClient(Metrics, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }))
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://platform')
    const time = (name: string) => {
      const seconds = searchParams.get(name)
      return seconds === null ? {} : { [name === 'start' ? 'from' : 'to']: timestampFromMs(Number(seconds) * 1000) }
    }
    const { samples } = await client.list({ ...time('start'), ...time('end') })
    response.setHeader('content-type', 'application/json')
    if (pathname === '/sandboxes/abc/metrics') response.end(JSON.stringify(samples.map(platformMetric)))
    else response.writeHead(404).end('{"code":404,"message":"no such sandbox"}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

test('E1 the history has all that getMetrics of the SDK promises', async () => {
  await using platform = await startPlatform(daemon.url)
  const options = { apiUrl: platform.url, apiKey: `e2b_${'0'.repeat(40)}`, debug: false }
  const before = new Date()
  await expect.poll(async () => (await Sandbox.getMetrics('abc', options)).length).toBeGreaterThan(2)
  const metrics = await Sandbox.getMetrics('abc', options)
  for (const metric of metrics) {
    expect(Object.keys(metric).sort()).toEqual([
      'cpuCount',
      'cpuUsedPct',
      'diskTotal',
      'diskUsed',
      'memCache',
      'memTotal',
      'memUsed',
      'timestamp',
    ])
    const { timestamp, ...figures } = metric
    expect(timestamp.getTime()).toBeGreaterThan(before.getTime() - 60_000)
    expect(Object.values(figures).every((figure) => typeof figure === 'number' && figure >= 0)).toBe(true)
    expect(metric.memTotal).toBeGreaterThan(metric.memUsed)
    expect(Number.isInteger(metric.cpuCount) && metric.cpuCount > 0).toBe(true)
  }
  expect(await Sandbox.getMetrics('abc', { ...options, end: new Date(0), start: new Date(0) })).toEqual([])
})
