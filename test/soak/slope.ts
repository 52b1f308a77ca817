import type { Figures } from './measure.ts'

/** One moment of a series. */
export interface Point {
  readonly seconds: number
  readonly value: number
}

/** How much a figure may grow. */
export interface Limit {
  /** What traffic of a constant rate makes it go up and down by, in any time. */
  readonly noise: number
  /** More for each hour. */
  readonly perHour: number
}

/**
 * Memory of the daemon: V8 gives back late and by parts what it freed, so a short series can rise by tens of MiB; an
 * hour that adds 8 MiB and does not stop would fill a 512 MB sandbox in two days. Counts go up and down with the calls
 * that are open, and never with time.
 */
const DAEMON: Limits = {
  resident: { noise: 32, perHour: 8 },
  proportional: { noise: 32, perHour: 8 },
  anonymous: { noise: 32, perHour: 8 },
  descriptors: { noise: 30, perHour: 0 },
  threads: { noise: 4, perHour: 0 },
  watches: { noise: 20, perHour: 0 },
}

/** The keeper has no heap that fills late; it holds up to three descriptors of each command, also of ended ones. */
const KEEPER: Limits = {
  resident: { noise: 1, perHour: 0.1 },
  proportional: { noise: 1, perHour: 0.1 },
  anonymous: { noise: 1, perHour: 0.1 },
  descriptors: { noise: 90, perHour: 0 },
  threads: { noise: 0, perHour: 0 },
  watches: { noise: 0, perHour: 0 },
}

/** What traffic has open at a time; `jobs` are those of the last seconds. */
const ALL: Limits = {
  processes: { noise: 20, perHour: 0 },
  zombies: { noise: 3, perHour: 0 },
  cgroups: { noise: 0, perHour: 0 },
  files: { noise: 40, perHour: 0 },
  temporary: { noise: 3, perHour: 0 },
  jobs: { noise: 40, perHour: 0 },
}

type Limits = Readonly<Record<string, Limit>>

/** By whose figures they are. */
export const LIMITS: Readonly<Record<'daemon' | 'keeper' | 'all', Limits>> = {
  daemon: DAEMON,
  keeper: KEEPER,
  all: ALL,
}

/** Points that are compared with each other at most; the median of more pairs is the same. */
const MOST_POINTS = 600

/** The median of the slopes of all pairs (Theil, Sen), per second: a few odd points do not move it. 0 for one point. */
export function slopeOf(points: readonly Point[]): number {
  const step = Math.max(1, Math.ceil(points.length / MOST_POINTS))
  const some = points.filter((_, at) => at % step === 0)
  const slopes = some.flatMap((a, at) =>
    some.slice(at + 1).map((b) => (b.value - a.value) / Math.max(1e-9, b.seconds - a.seconds)),
  )
  slopes.sort((a, b) => a - b)
  return slopes[Math.floor(slopes.length / 2)] ?? 0
}

/** The part of a series at its start in which caches, pools and heaps fill. */
const WARM_UP = 0.25

/** How much a figure grew after the warm-up, by its slope, and how much it may. */
export interface Growth {
  readonly name: string
  readonly from: number
  readonly growth: number
  readonly limit: number
}

/** The growth of each figure that has a limit. */
export function growthOf(samples: readonly { seconds: number; figures: Figures }[], limits: Limits): Growth[] {
  const first = samples[0]?.seconds ?? 0
  const length = (samples.at(-1)?.seconds ?? 0) - first
  const judged = samples.filter(({ seconds }) => seconds >= first + length * WARM_UP)
  return Object.entries(limits).flatMap(([name, { noise, perHour }]) => {
    const points = judged.flatMap(({ seconds, figures }) => {
      const value = figures[name]
      return value === undefined || Number.isNaN(value) ? [] : [{ seconds, value }]
    })
    const [start] = points
    if (start === undefined) return []
    const time = (points.at(-1)?.seconds ?? 0) - start.seconds
    return [{ name, from: start.value, growth: slopeOf(points) * time, limit: noise + (perHour * time) / 3600 }]
  })
}
