import type { LimitedDaemon } from '../limited-daemon.ts'

/** What an attack is made with. */
export interface Field {
  readonly daemon: LimitedDaemon
  /** An empty directory in memory. */
  readonly directory: string
  /** 1 for the whole attack, less for a smaller one of the same kind. */
  readonly scale: number
  /** What the attack holds; released after its time. */
  readonly held: AsyncDisposableStack
}

/** One way to hurt the daemon. */
export interface Attack {
  readonly name: string
  /** Milliseconds of the daemon's processor time until health is answered (p95); default: `BUSY_P95_HEALTH_MS`. */
  readonly maxBusy?: number
  /** Bytes of resident memory at the peak; default: `MAX_RESIDENT`. */
  readonly maxResident?: number
  /** Makes what the attack needs; its cost does not count. */
  prepare?(field: Field): Promise<void>
  /** Resolves when all of it is under way, or over. */
  run(field: Field): Promise<void>
}

/** So many of an attack at a scale, at least one. */
export function scaled(count: number, { scale }: Field): number {
  return Math.max(1, Math.round(count * scale))
}

/** Does all of it, so many at a time, whatever becomes of each. */
export async function allOf(count: number, atOnce: number, one: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await one(next++).catch(() => {})
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane))
}
