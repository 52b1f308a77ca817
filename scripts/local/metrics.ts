import type { Sandbox } from './sandbox.ts'

/** A sample as `metrics.Metrics/List` writes it in JSON: zeros are left out, 64-bit numbers are texts. */
interface Sample {
  readonly timestamp?: string
  readonly cpuCount?: number
  readonly cpuUsedPct?: number
  readonly memUsed?: string
  readonly memTotal?: string
  readonly memCache?: string
  readonly diskUsed?: string
  readonly diskTotal?: string
}

/**
 * The daemon's history in the platform's words; empty while it is paused. @param from, to Unix seconds; undefined: no
 * limit.
 */
export async function metricsOf({ daemon, token, state }: Sandbox, from?: number, to?: number): Promise<object[]> {
  // A daemon that is stopped does not answer.
  if (daemon === undefined || state === 'paused') return []
  const time = (seconds: number | undefined) =>
    seconds === undefined ? undefined : new Date(seconds * 1000).toISOString()
  const response = await fetch(`${daemon.url}/metrics.Metrics/List`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token === undefined ? {} : { 'x-access-token': token }) },
    body: JSON.stringify({ from: time(from), to: time(to) }),
  })
  if (!response.ok) throw new Error(`the daemon answered with ${response.status}`)
  // The shape is the daemon's own protocol.
  const { samples = [] } = (await response.json()) as { samples?: Sample[] }
  return samples.map((sample) => {
    const at = new Date(sample.timestamp ?? 0)
    return {
      timestamp: at.toISOString(),
      timestampUnix: Math.floor(at.getTime() / 1000),
      cpuCount: sample.cpuCount ?? 0,
      cpuUsedPct: sample.cpuUsedPct ?? 0,
      memUsed: Number(sample.memUsed ?? 0),
      memTotal: Number(sample.memTotal ?? 0),
      memCache: Number(sample.memCache ?? 0),
      diskUsed: Number(sample.diskUsed ?? 0),
      diskTotal: Number(sample.diskTotal ?? 0),
    }
  })
}
