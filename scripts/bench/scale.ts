import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { latencyOf } from './measure.ts'
import { OpenStreams } from './open-streams.ts'
import { LOADS, type Load, type Place } from './scale-loads.ts'
import { makeTarget, memoryOf, OWN, type Target } from './target.ts'

/** What a daemon takes with that many of a load. */
export interface ScaleRow {
  readonly load: string
  readonly count: number
  readonly residentMb: number
  readonly healthP95Ms: number
  readonly callName: string
  readonly callP50Ms: number
}

const AT_ONCE = 16
const HEALTH_CALLS = 400
const CALLS = 60

/** Each load grows in a fresh daemon, and is measured at each of its steps. */
export async function measureScale(only: readonly string[] | undefined): Promise<ScaleRow[]> {
  const rows: ScaleRow[] = []
  for (const load of LOADS.filter(({ name }) => only?.includes(name) ?? true)) {
    console.error(`growing ${load.name}`)
    await using target = await makeTarget(OWN)
    rows.push(...(await grow(target, load)))
  }
  return rows
}

async function grow(target: Target, load: Load): Promise<ScaleRow[]> {
  const dir = await mkdtemp(join(target.dir, 'scale-'))
  const place: Place = { client: target.client, streams: new OpenStreams(target.client.url), dir }
  const rows = [await measure(target, load, place, 0)]
  try {
    let count = 0
    for (const step of load.steps) {
      const from = count
      const next = () => (count < step ? load.add(place, count++) : undefined)
      // The first one may be what the others need.
      if (from === 0) await next()
      await Promise.all(Array.from({ length: AT_ONCE }, () => until(next)))
      rows.push(await measure(target, load, place, step))
    }
  } finally {
    place.streams.close()
    await rm(dir, { recursive: true, force: true })
  }
  return rows
}

async function until(next: () => Promise<unknown> | undefined): Promise<void> {
  for (let made = next(); made !== undefined; made = next()) await made
}

async function measure({ client, pid }: Target, load: Load, place: Place, count: number): Promise<ScaleRow> {
  const health = await latencyOf(() => client.send({ method: 'GET', path: '/health' }), { count: HEALTH_CALLS })
  // Without any there may be nothing to call.
  const call = count === 0 ? undefined : await latencyOf(() => load.call(place), { count: CALLS, warm: 10 })
  return {
    load: load.name,
    count,
    residentMb: pid === undefined ? Number.NaN : memoryOf(pid, 'VmRSS'),
    healthP95Ms: health.p95,
    callName: load.callName,
    callP50Ms: call?.p50 ?? Number.NaN,
  }
}

/** The rows as cells of a table, with what each of the load takes. */
export function scaleCells(rows: readonly ScaleRow[]): string[][] {
  const empty = new Map(rows.filter(({ count }) => count === 0).map(({ load, residentMb }) => [load, residentMb]))
  const cells = rows.map(({ load, count, residentMb, healthP95Ms, callName, callP50Ms }) => [
    load,
    String(count),
    residentMb.toFixed(1),
    count === 0 ? '' : (((residentMb - (empty.get(load) ?? 0)) * 1024) / count).toFixed(1),
    healthP95Ms.toFixed(2),
    callName,
    Number.isNaN(callP50Ms) ? '' : callP50Ms.toFixed(2),
  ])
  return [['load', 'count', 'resident MB', 'KB each', '/health p95 ms', 'call', 'p50 ms'], ...cells]
}
