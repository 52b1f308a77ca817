/**
 * Milliseconds of CLOCK_MONOTONIC, with fractions: all processes of a machine share it, so that one daemon can compare
 * it with what another one has noted, and setting the wall clock does not move it.
 */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000
}
