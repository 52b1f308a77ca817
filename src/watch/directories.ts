import type { MessageInitShape } from '@bufbuild/protobuf'
import type { StreamCaller } from '../calls/caller.ts'
import { AppError, CLOSED } from '../errors.ts'
import type { DirectoriesRequest, DirectoriesResponseSchema } from '../gen/watch/v1/watch_pb.js'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { loopTurns } from '../lib/turns.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { WatchItem, WatchService } from './service.ts'

/** Directories of one stream: more than a person has open, each with a generator and an event buffer of its own. */
export const MAX_WATCHED_DIRECTORIES = 256

/** Directories that are armed at a time. */
const ARMED_AT_ONCE = 8

type Response = MessageInitShape<typeof DirectoriesResponseSchema>
type Batches = AsyncIterable<readonly WatchItem[]>

/** A stream that is open: its messages, which end with the caller. */
interface DirectoriesStream {
  messages(): AsyncGenerator<readonly Response[], void>
}

/**
 * Watches several directories for one stream (`watch.v1`). Resolves when all of them are armed; those that cannot be are
 * reported in the stream. Rejects with AppError `invalid_argument` for a number of paths that is not allowed, with
 * `budget_spent`, and with the reason of the caller's signal.
 */
export async function watchDirectories(
  { watchDir }: Pick<WatchService, 'watchDir'>,
  { paths, includeEntry }: DirectoriesRequest,
  caller: StreamCaller,
): Promise<DirectoriesStream> {
  if (paths.length === 0 || paths.length > MAX_WATCHED_DIRECTORIES)
    throw new AppError('invalid_argument', `1 to ${MAX_WATCHED_DIRECTORIES} paths can be watched, not ${paths.length}`)
  const open = abortedTogether(caller.signal)
  const merge = new Merge(caller)
  const arm = async ([index, path]: [number, string]) => {
    // However many streams arm theirs, and whatever each step of it takes.
    await loopTurns.next(merge)
    const request = { $typeName: 'filesystem.WatchDirRequest', path, includeEntry } as const
    const settings = { recursive: false, allowNetworkMounts: false }
    await watchDir({ ...request, ...settings }, { ...caller, signal: open.one() }).then(
      ({ batches }) => merge.add(index, batches),
      (error: unknown) => {
        // One refusal for all: a report for each would take the memory that is spent.
        if (error instanceof AppError && error.kind === 'budget_spent') throw error
        merge.end(index, error)
      },
    )
  }
  try {
    await forEachLimited([...paths.entries()], ARMED_AT_ONCE, arm)
    caller.signal.throwIfAborted()
  } catch (error) {
    open.end()
    throw error
  }
  return { messages: () => merge.messages(open.end) }
}

/**
 * A signal for each directory, all of which abort with the caller's: one for all would have as many listeners, among
 * which each that comes and goes is looked for.
 */
function abortedTogether(signal: AbortSignal) {
  const controllers: AbortController[] = []
  const end = () => {
    for (const controller of controllers.splice(0)) controller.abort(signal.aborted ? signal.reason : CLOSED)
  }
  signal.addEventListener('abort', end, { once: true })
  return {
    one: (): AbortSignal => {
      const controller = new AbortController()
      controllers.push(controller)
      if (signal.aborted) end()
      return controller.signal
    },
    end,
  }
}

/** One batch of a directory that waits to be sent; the directory goes on when it was taken. */
interface Waiting {
  readonly responses: readonly Response[]
  readonly taken: () => void
}

/** Puts the items of several directories in one order, with at most one batch of each in memory. */
class Merge {
  readonly #caller: StreamCaller
  readonly #news = new WakeUp()
  #waiting: Waiting[] = []
  #failure: { readonly error: unknown } | undefined

  constructor(caller: StreamCaller) {
    this.#caller = caller
  }

  /** Adds what happens in a directory. */
  add(directory: number, batches: Batches): void {
    this.#pump(directory, batches).catch((error: unknown) => this.end(directory, error))
  }

  /** Reports that a directory is not watched any longer; an error that is no AppError ends the stream. */
  end(directory: number, error: unknown): void {
    if (error instanceof AppError) void this.#put([{ event: { case: 'ended', value: endOf(directory, error) } }])
    else this.#failure ??= { error }
    this.#news.wake()
  }

  /** @param stop called at the end, for every reason of it; it must stop the watch of every directory. */
  async *messages(stop: () => void): AsyncGenerator<readonly Response[], void> {
    const { signal, keepalive } = this.#caller
    try {
      yield [{ event: { case: 'started', value: {} } }]
      for (;;) {
        const none = this.#waiting.length === 0 && this.#failure === undefined
        if (none && !(await this.#news.wait(keepalive, signal))) yield [{ event: { case: 'keepalive', value: {} } }]
        signal.throwIfAborted()
        if (this.#failure !== undefined) throw this.#failure.error
        const waiting = this.#waiting
        this.#waiting = []
        for (const { responses, taken } of waiting) {
          yield responses
          taken()
        }
      }
    } finally {
      stop()
      for (const { taken } of this.#waiting) taken()
    }
  }

  async #pump(directory: number, batches: Batches): Promise<void> {
    for await (const items of batches) {
      const responses = items.flatMap((item) => toResponses(directory, item))
      if (responses.length > 0) await this.#put(responses)
    }
  }

  #put(responses: readonly Response[]): Promise<void> {
    return new Promise((taken) => {
      this.#waiting.push({ responses, taken })
      this.#news.wake()
    })
  }
}

/** Keepalives are those of the stream, and so is its start. */
function toResponses(directory: number, item: WatchItem): readonly Response[] {
  if (item.kind !== 'event') return []
  return [{ event: { case: 'change', value: { directory, event: item.event } } }]
}

function endOf(directory: number, { kind, message }: AppError) {
  return { directory, code: kind === 'budget_spent' ? 'resource_exhausted' : kind, message }
}
