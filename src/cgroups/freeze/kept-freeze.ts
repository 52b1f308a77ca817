import { monotonicNow } from '../../lib/monotonic-now.ts'

/** A freeze that is in effect, as the next daemon goes on with it. */
export interface KeptFreeze {
  /** When it ends by itself (`monotonicNow`). */
  readonly until: number
  /** The cgroups that the guest froze itself, by their paths from the root: they are not to be thawed. */
  readonly guestFrozen: readonly string[]
}

/** Where one freeze is kept for the next daemon. */
export interface FreezeStore {
  /** The one that the last daemon has left; undefined: none. */
  readonly before: KeptFreeze | undefined
  /** Keeps this one in the place of the one before; undefined: none is in effect any more. */
  write(freeze: KeptFreeze | undefined): void
}

/** Where nothing is kept. */
export const NO_STORE: FreezeStore = { before: undefined, write: () => {} }

/** Bytes of the paths that are kept: hundreds of cgroups, in a state that is written anew with each change. */
const MAX_PATHS_BYTES = 64 * 1024

/** A freeze from now on, for at most `period` milliseconds. Of too many cgroups the last are left out. */
export function freezeFor(period: number, guestFrozen: Iterable<string> = []): KeptFreeze {
  let room = MAX_PATHS_BYTES
  const paths: string[] = []
  for (const path of guestFrozen) {
    room -= path.length
    if (room < 0) break
    paths.push(path)
  }
  return { until: monotonicNow() + period, guestFrozen: paths }
}

/** Milliseconds until it ends by itself, at most `period`. */
export function leftOfFreeze({ until }: KeptFreeze, period: number): number {
  return Math.min(period, Math.max(0, until - monotonicNow()))
}
