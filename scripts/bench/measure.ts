import type { Target } from './target.ts'

/** One line of the table. */
export interface Row {
  readonly measure: string
  /** Undefined: not measured, for the reason in `note`. */
  readonly value: number | undefined
  /** Figure of the reference daemon on a machine of the same class; undefined: none is known. */
  readonly reference: number | undefined
  readonly better: 'lower' | 'higher'
  readonly note?: string
}

/** One thing to measure; `--only` takes its name. */
export interface Measure {
  readonly name: string
  run(target: Target): Promise<Row[]>
}

/** Rows where a smaller figure is better: times and memory. */
export function lower(measure: string, value: number | undefined, reference?: number, note?: string): Row {
  return { measure, value, reference, better: 'lower', ...(note === undefined ? {} : { note }) }
}

/** Rows where a larger figure is better: rates. */
export function higher(measure: string, value: number | undefined, reference?: number, note?: string): Row {
  return { measure, value, reference, better: 'higher', ...(note === undefined ? {} : { note }) }
}

/** Milliseconds of a call, at the median, the 95th and the 99th percentile. */
export interface Latency {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** The rows of a latency. @param reference figures of the reference daemon, where they are known. */
export function latencyRows(name: string, latency: Latency, reference: Partial<Latency> = {}): Row[] {
  return (['p50', 'p95', 'p99'] as const).map((part) => lower(`${name} ${part}, ms`, latency[part], reference[part]))
}

/** Times `call`, one after another, `count` times after `warm` untimed ones. */
export async function latencyOf(
  call: (index: number) => Promise<unknown>,
  { count, warm = 30 }: { readonly count: number; readonly warm?: number },
): Promise<Latency> {
  for (let i = 0; i < warm; i++) await call(i)
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const started = performance.now()
    await call(warm + i)
    times.push(performance.now() - started)
  }
  return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) }
}

/** The value below which a part of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** Seconds that `work` takes. */
export async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}
