import { setTimeout } from 'node:timers/promises'
import { lower, type Measure, quantile, type Row } from './measure.ts'
import { cpuOf, end, memoryOf, type Target } from './target.ts'

const STARTS = 9
const SETTLE_MS = 2_000
const WATCHED_MS = 5_000

const OWN_ONLY = 'only for a daemon that the benchmark starts'

/** From exec to listening: the median of several starts, after one that brings its files into memory. */
export const startUp: Measure = {
  name: 'start-up',
  async run({ launch, pid }) {
    if (pid === undefined) return [lower('from exec to listening, ms', undefined, 20, OWN_ONLY)]
    const times: number[] = []
    for (let i = 0; i <= STARTS; i++) {
      const launched = await launch()
      if (i > 0) times.push(launched.milliseconds)
      await end(launched)
    }
    return [lower('from exec to listening, ms', quantile(times, 0.5), 20)]
  },
}

/** A daemon that has done nothing yet. Runs first. */
export const idle: Measure = {
  name: 'idle',
  async run({ pid }: Target): Promise<Row[]> {
    if (pid === undefined) return [lower('idle resident memory, MB', undefined, 11.3, OWN_ONLY)]
    await setTimeout(SETTLE_MS)
    const memory = memoryOf(pid, 'VmRSS')
    const before = cpuOf(pid)
    await setTimeout(WATCHED_MS)
    const busy = ((cpuOf(pid) - before) / (WATCHED_MS / 1000)) * 100
    return [lower('idle resident memory, MB', memory, 11.3), lower('idle CPU, %', busy, 1.2)]
  },
}

/** The most that one of the measures before it has taken. */
export const peak: Measure = {
  name: 'peak',
  async run({ pid, peaks }) {
    const name = 'peak resident memory over all measures, MB'
    return [pid === undefined ? lower(name, undefined, 44, OWN_ONLY) : lower(name, Math.max(...peaks), 44)]
  },
}
