import { totalmem } from 'node:os'

/** Never more than this, however large the machine: the daemon shares it with the work that it serves. */
const MAX_BYTES = 256 * 1024 * 1024

/** Never less: below it a single upload and its answer would not fit. */
const MIN_BYTES = 16 * 1024 * 1024

/** An eighth of the memory: 64 MiB of 512, which with the daemon's own 70 MB stays below 200 MB resident. */
const FRACTION = 8

/**
 * Bytes that a daemon may hold for others, by the memory that it has: the limit of its cgroup, else that of the
 * machine.
 */
export function budgetTotal(limit: number | undefined, machine = totalmem()): number {
  const bytes = Math.min(limit ?? machine, machine)
  return Math.max(MIN_BYTES, Math.min(MAX_BYTES, Math.floor(bytes / FRACTION)))
}
