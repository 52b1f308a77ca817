import type { CpuFigures } from '../cpus/cpus.ts'
import type { Log } from '../log.ts'
import type { Defaults } from '../users/defaults.ts'

/** A header that a call of `POST /init` may be answered with, whatever its status. */
export type InitHeader =
  | 'x-envd-cpus'
  | 'x-envd-defaults'
  | 'x-envd-freeze-audit'
  | 'x-envd-init-clock-correction'
  | 'x-envd-init-unobserved'
  | 'x-envd-thaw'

/** One call, beside what it asks for. */
export interface InitCall {
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal
  /** The result of `Initialization.enter`. */
  readonly generation: number
  /** When its body had been read, by the monotonic clock; milliseconds. */
  readonly readAt: number
  /** Whether the client is gone, asked of the kernel: before Node reports it. */
  left(): boolean
  /** Sets a header of the answer. */
  setHeader(header: InitHeader, value: string): void
}

/** From this on a delay is worth a line: callers send again after 50 ms. */
const LONG_MS = 50

/**
 * Sets `X-Envd-Init-Clock-Correction` (contract N10): the time since the body was read, by which a timestamp in it is
 * too old. Returns it in nanoseconds.
 */
export function reportDelay({ readAt, setHeader }: InitCall, log?: Log): bigint {
  const milliseconds = performance.now() - readAt
  setHeader('x-envd-init-clock-correction', String(Math.trunc(milliseconds)))
  if (milliseconds >= LONG_MS) log?.info({ ms: Math.trunc(milliseconds) }, 'the time of a late /init is moved forward')
  return BigInt(Math.round(milliseconds * 1e6))
}

/** What callers take of `X-Envd-Defaults`, in bytes. */
const MAX_DEFAULTS = 8 * 1024

/** Sets `X-Envd-Defaults` (contract N12), unless it would be longer than callers take. */
export function reportDefaults({ user, workdir }: Defaults, userNamed: boolean, { setHeader }: InitCall): void {
  const text = JSON.stringify({ user, workdir, fallback: !userNamed })
  // In ASCII, as a header has to be.
  const ascii = text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  if (ascii.length <= MAX_DEFAULTS) setHeader('x-envd-defaults', ascii)
}

/** Sets `X-Envd-Cpus` (contract N6). @param rejected why a number was refused, if it was */
export function reportCpus(figures: CpuFigures, rejected: string | undefined, { setHeader }: InitCall): void {
  setHeader('x-envd-cpus', JSON.stringify({ ...figures, rejected }))
}
