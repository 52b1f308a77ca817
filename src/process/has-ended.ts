import { loopTurns } from '../lib/turns.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { KnownProcess } from './known-process.ts'
import type { Registry } from './registry.ts'

/**
 * Waits until a process has ended: true, or false after `milliseconds`. Rejects with the signal's reason. Leaves
 * nothing behind at the process, whose end may be days away.
 */
export async function hasEnded(
  process: KnownProcess,
  registry: Pick<Registry, 'watchers'>,
  { milliseconds, signal }: { readonly milliseconds: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const ended = new WakeUp()
  const watch = (change: 'start' | 'end', { pid }: KnownProcess) => {
    if (change === 'end' && pid === process.pid) ended.wake()
  }
  registry.watchers.add(watch)
  const until = performance.now() + milliseconds
  try {
    while (process.end === undefined) {
      const left = Math.min(until - performance.now(), MAX_TIMER_MS)
      if (left <= 0) return false
      await ended.wait(left, signal)
      // Thousands may wait for the same end, or for as long.
      await loopTurns.turn(signal)
    }
    return true
  } finally {
    registry.watchers.delete(watch)
  }
}

/** The longest time that a timer takes, in milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1
