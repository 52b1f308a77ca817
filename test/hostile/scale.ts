/** Whole, as `npm run test:hostile` runs it, or the reduced form of `.ci/run`. */
export const WHOLE = process.env['ENVD_HOSTILE'] === 'whole'

/** Messages that the fuzzer sends. */
export const FUZZ_MESSAGES = Number(process.env['HOSTILE_MESSAGES'] ?? (WHOLE ? 200_000 : 20_000))

/** What the daemon may take in a sandbox of 512 MB, at any time. */
export const MAX_RESIDENT = 200 * 2 ** 20

/** The longest answer to a health check under attack. The loop's own halt is measured by its own tests; this has room for a busy machine. */
export const WORST_HEALTH_MS = 1000
