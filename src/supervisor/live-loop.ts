import { setTimeout as sleep } from 'node:timers/promises'
import type { FailedAttempt } from './cause.ts'
import { type AttemptOptions, attempt } from './ready-loop.ts'

/** A live command and its pace. */
interface LiveOptions extends AttemptOptions {
  /** Milliseconds between two attempts. */
  readonly interval: number
}

/**
 * Repeats the live command for ever and reports the outcome of each attempt. Rejects with the signal's reason when that
 * aborts.
 */
export async function repeatLive(
  options: LiveOptions,
  signal: AbortSignal,
  onAttempt: (failed: FailedAttempt | undefined) => void,
): Promise<never> {
  for (;;) {
    await sleep(options.interval, undefined, { signal, ref: false })
    onAttempt(await attempt(options, signal))
  }
}
