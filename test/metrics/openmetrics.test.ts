import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call, open } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type Family, parseOpenMetrics } from './openmetrics.ts'

const daemon = sharedDaemon()

async function scrape(): Promise<{ text: string; families: Map<string, Family> }> {
  const { status, text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
  expect(status).toBe(200)
  return { text, families: parseOpenMetrics(text) }
}

/** The value of a sample with these labels. */
function value(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number | undefined {
  const points = [...families.values()].flatMap(({ samples }) => samples)
  const fits = (own: Readonly<Record<string, string>>) =>
    Object.entries(labels).every(([key, wanted]) => own[key] === wanted)
  return points.find((point) => point.name === name && fits(point.labels))?.value
}

test('the figures of the latest sample are reported under names with units', async () => {
  const { families } = await scrape()
  const metrics = JSON.parse((await sendWhole(`${daemon.url}/metrics`)).text)
  expect(value(families, 'envd_memory_size_bytes')).toBe(metrics.mem_total)
  expect(value(families, 'envd_disk_size_bytes')).toBe(metrics.disk_total)
  expect(value(families, 'envd_cpus')).toBe(metrics.cpu_count)
  expect(value(families, 'envd_cpu_seconds_total')).toBeGreaterThan(0)
  expect(value(families, 'envd_cpu_used_ratio')).toBeLessThanOrEqual(1)
  expect(value(families, 'process_resident_memory_bytes')).toBeGreaterThan(20_000_000)
  expect(value(families, 'envd_processes')).toBeGreaterThan(1)
  expect(value(families, 'envd_resource_source', { resource: 'memory' })).toBe(1)
  expect(families.get('envd_oom_kills')).toMatchObject({ type: 'counter' })
})

test('RPCs are counted by method, with how long they took and the codes of their errors', async () => {
  const { url } = daemon
  for (const path of ['/', '/usr', '/no/such/path']) await call(url, 'filesystem.Filesystem/Stat', { path })
  await (await open(url, 'process.Process/Start', { process: { cmd: 'true' }, stdin: false })).rest()
  const { families } = await scrape()
  const stat = { method: 'filesystem.Filesystem/Stat' }
  expect(value(families, 'envd_rpc_requests_total', stat)).toBe(3)
  expect(value(families, 'envd_rpc_errors_total', { ...stat, code: 'not_found' })).toBe(1)
  expect(value(families, 'envd_rpc_duration_seconds_count', stat)).toBe(3)
  expect(value(families, 'envd_rpc_duration_seconds_bucket', { ...stat, le: '+Inf' })).toBe(3)
  expect(value(families, 'envd_rpc_duration_seconds_sum', stat)).toBeGreaterThan(0)
  expect(value(families, 'envd_rpc_requests_total', { method: 'process.Process/Start' })).toBe(1)
})

test('the buckets of a histogram only grow, up to the number of all calls', async () => {
  const { url } = daemon
  await call(url, 'process.Process/List', {})
  const { families } = await scrape()
  const points = families.get('envd_rpc_duration_seconds')?.samples ?? []
  const buckets = points.filter(
    ({ name, labels }) => name.endsWith('_bucket') && labels['method'] === 'process.Process/List',
  )
  expect(buckets.at(-1)?.labels['le']).toBe('+Inf')
  const bounds = buckets.map(({ labels }) => Number(labels['le']?.replace('+Inf', 'Infinity')))
  expect(bounds).toEqual(bounds.toSorted((a, b) => a - b))
  expect(buckets.map((point) => point.value)).toEqual(buckets.map((point) => point.value).toSorted((a, b) => a - b))
})

test('methods that do not exist are not counted: names that clients make up cannot fill the memory', async () => {
  const { url } = daemon
  for (const method of ['process.Process/Nothing', 'made.Up/Method', 'filesystem.Filesystem/stat'])
    await call(url, method, {})
  const { text } = await scrape()
  expect(text).not.toMatch(/Nothing|made\.Up|Filesystem\/stat/)
})

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined

test('promtool takes the text for OpenMetrics, and has no fault to find with the names', async (context) => {
  if (!hasPromtool) context.skip('needs promtool, of Debian package prometheus')
  await using dir = await makeTmpDir()
  await call(daemon.url, 'filesystem.Filesystem/Stat', { path: '/no/such/path' })
  const { text } = await scrape()
  // To be stored, every sample must have a time.
  const timed = text.replace(/^([^#\n].*)$/gm, `$1 ${Math.floor(Date.now() / 1000)}`)
  await writeFile(`${dir.path}/metrics`, timed)
  const stored = spawnSync('promtool', [
    'tsdb',
    'create-blocks-from',
    'openmetrics',
    `${dir.path}/metrics`,
    `${dir.path}/db`,
  ])
  expect({ status: stored.status, stderr: stored.stderr.toString() }).toEqual({ status: 0, stderr: '' })
  // The linter reads the older format, in which counters are named in full.
  const older = text.replace(/^# (HELP|TYPE) (\S+) (.*)$/gm, (line, keyword, name, rest) =>
    text.includes(`# TYPE ${name} counter`) ? `# ${keyword} ${name}_total ${rest}` : line,
  )
  const linted = spawnSync('promtool', ['check', 'metrics'], { input: older })
  expect({ status: linted.status, stderr: linted.stderr.toString() }).toEqual({ status: 0, stderr: '' })
})
