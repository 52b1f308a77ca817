/** Whole, as `npm run test:hostile` runs it, or the reduced form of `.ci/run`. */
export const WHOLE = process.env['ENVD_HOSTILE'] === 'whole'

/** Messages that the fuzzer sends. */
export const FUZZ_MESSAGES = Number(process.env['HOSTILE_MESSAGES'] ?? (WHOLE ? 200_000 : 20_000))

/** What the daemon may take in a sandbox of 512 MB, at any time. */
export const MAX_RESIDENT = 200 * 2 ** 20

/**
 * The longest answer to a health check under attack. The loop's own halt is measured by its own tests; this has room
 * for a busy machine.
 */
export const WORST_HEALTH_MS = 1000

/** How soon a health check is answered under attack, by 95 and 99 of 100. */
export const P95_HEALTH_MS = 20
export const P99_HEALTH_MS = 100

/**
 * The same in processor time of the daemon's main thread between question and answer, for the reduced form, beside
 * whose attacks other work takes the processors.
 */
export const BUSY_P95_HEALTH_MS = 250

/** How long an attack is held once all of it is under way. */
export const PRESSURE_MS = 2000

/**
 * What one turn of the event loop may take of the processor, whatever is asked. Twice as much in the reduced form: on a
 * machine that others use as well, the same work takes longer even in time of the processor, whose caches and cores it
 * shares.
 */
export const LONGEST_HALT_MS = WHOLE ? 50 : 100

/** Archives that are changed at random and unpacked. */
export const MUTATED_ARCHIVES = Number(process.env['HOSTILE_ARCHIVES'] ?? (WHOLE ? 100_000 : 5_000))

/** How long each part of the native code is fuzzed. */
export const FUZZ_NATIVE_SECONDS = Number(process.env['FUZZ_NATIVE_SECONDS'] ?? (WHOLE ? 600 : 15))
