import type { Sample } from '../../gen/metrics/metrics_pb.js'
import { msOf } from '../format.ts'

/** What the daemon keeps: an hour, one every two seconds. */
const MAX_SAMPLES = 1_800

/** No sample for that long is a gap: the daemon was away, or the machine paused. */
const GAP_MS = 7_000

/** Adds a sample. Where the clock was set back, what is later than the new one goes; the oldest beyond 1,800 go. */
export function withSample(samples: readonly Sample[], sample: Sample): Sample[] {
  const time = msOf(sample.timestamp)
  let end = samples.length
  while (end > 0 && msOf(samples[end - 1]?.timestamp) >= time) end--
  return [...samples.slice(Math.max(0, end - MAX_SAMPLES + 1), end), sample]
}

/** A line of a plot. */
export interface Series {
  readonly label: string
  /** A variable of the style sheet. */
  readonly colour: string
  /** null: not known. @param before the sample before, if there is no gap between them. */
  readonly value: (sample: Sample, before: Sample | undefined) => number | null
}

/** Seconds since 1970, and the values of each series; a row of null for each gap. */
type Columns = [number[], ...(number | null)[][]]

/** The values of a plot, in the order of its series. */
export function columnsOf(samples: readonly Sample[], series: readonly Series[]): Columns {
  const times: number[] = []
  const values = series.map((): (number | null)[] => [])
  let before: Sample | undefined
  for (const sample of samples) {
    const time = msOf(sample.timestamp)
    if (before !== undefined && time - msOf(before.timestamp) > GAP_MS) {
      times.push((msOf(before.timestamp) + 1) / 1000)
      for (const column of values) column.push(null)
      before = undefined
    }
    times.push(time / 1000)
    for (const [index, { value }] of series.entries()) values[index]?.push(value(sample, before))
    before = sample
  }
  return [times, ...values]
}

/** Growth per second of a count since the sample before; null without one, or where the count began anew. */
export function rate(count: (sample: Sample) => number): Series['value'] {
  return (sample, before) => {
    if (before === undefined || sample.uptime < before.uptime) return null
    const seconds = (msOf(sample.timestamp) - msOf(before.timestamp)) / 1000
    const growth = count(sample) - count(before)
    return growth < 0 || seconds <= 0 ? null : growth / seconds
  }
}

/** Something that happened between two samples. */
export interface Mark {
  /** Seconds since 1970. */
  readonly time: number
  readonly kind: 'oom' | 'restart' | 'service'
  readonly text: string
}

/** Kills for lack of memory, and restarts of the daemon and of services. */
export function marksOf(samples: readonly Sample[]): Mark[] {
  return samples.flatMap((sample, index): Mark[] => {
    const before = samples[index - 1]
    if (before === undefined) return []
    const time = msOf(sample.timestamp) / 1000
    const kills = Number(sample.oomKills - before.oomKills)
    const restarted = sample.uptime < before.uptime
    // A new daemon begins to count anew.
    const services = Number(sample.serviceRestarts - (restarted ? 0n : before.serviceRestarts))
    return [
      ...(restarted ? [{ time: time - sample.uptime, kind: 'restart' as const, text: 'daemon restarted' }] : []),
      ...(services > 0 ? [{ time, kind: 'service' as const, text: counted(services, 'service restart') }] : []),
      ...(kills > 0 ? [{ time, kind: 'oom' as const, text: counted(kills, 'OOM kill') }] : []),
    ]
  })
}

function counted(count: number, what: string): string {
  return count === 1 ? `1 ${what}` : `${count} ${what}s`
}

/** The samples of the last so many seconds before the newest. */
export function lastSeconds(samples: readonly Sample[], seconds: number): readonly Sample[] {
  const end = msOf(samples.at(-1)?.timestamp)
  const first = samples.findIndex(({ timestamp }) => msOf(timestamp) > end - seconds * 1000)
  return first <= 0 ? samples : samples.slice(first)
}
