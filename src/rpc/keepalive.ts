/**
 * Seconds between keepalives when the client asks for none, or for something that is no number of seconds (contract
 * D20).
 */
const DEFAULT_SECONDS = 90

/** What fits into nanoseconds of 64 bits: a larger number is as good as none (contract N29). */
const LARGEST_SECONDS = 9_223_372_036

/** A day: longer would not keep any connection alive, and must not overflow a timer (contract D76). */
const MAX_SECONDS = 86_400

/** Milliseconds of a `Keepalive-Ping-Interval` header. */
export function keepaliveInterval(header: string | undefined): number {
  const seconds = /^\+?\d+$/.test(header ?? '') ? Number(header) : 0
  const usable = seconds > 0 && seconds <= LARGEST_SECONDS
  return Math.min(usable ? seconds : DEFAULT_SECONDS, MAX_SECONDS) * 1000
}
