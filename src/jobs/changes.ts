import { AppError } from '../errors.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { KnownProcess } from '../process/known-process.ts'
import type { Registry } from '../process/registry.ts'

/** What a stream of changes carries. */
export type ChangeItem<T> =
  | { readonly kind: 'watching' }
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'start' | 'end'; readonly job: T }

/** Changes that wait for one client, some 3 KiB each. */
const MAX_WAITING = 1_000

interface WatchOptions {
  /** Milliseconds between keepalives. */
  readonly keepalive: number
  readonly signal: AbortSignal
}

/**
 * Jobs that start and end from now on, as `toJob` makes them at that moment; undefined: it is left out. Ends with the
 * signal, or with `resource_exhausted` when 1,000 changes wait for the client.
 */
export async function* watchJobs<T>(
  registry: Pick<Registry, 'watchers'>,
  toJob: (process: KnownProcess) => T | undefined,
  { keepalive, signal }: WatchOptions,
): AsyncGenerator<ChangeItem<T>, void> {
  const waiting: ChangeItem<T>[] = []
  const wakeUp = new WakeUp()
  let missed = 0
  const watch = (kind: 'start' | 'end', process: KnownProcess) => {
    const job = toJob(process)
    if (job === undefined) return
    if (waiting.length < MAX_WAITING && missed === 0) waiting.push({ kind, job })
    else missed++
    wakeUp.wake()
  }
  registry.watchers.add(watch)
  try {
    yield { kind: 'watching' }
    for (;;) {
      yield* waiting.splice(0)
      if (missed > 0)
        throw new AppError('resource_exhausted', `the client took changes too slowly: ${missed} were missed`)
      if (waiting.length === 0 && !(await wakeUp.wait(keepalive, signal))) yield { kind: 'keepalive' }
    }
  } finally {
    registry.watchers.delete(watch)
  }
}
