import { EventType, type FilesystemEvent } from '../../gen/filesystem/filesystem_pb.js'
import type { Connection } from '../connection.ts'
import { onUnseen, whenSeen } from '../seen.ts'
import type { FilesApi } from './api.ts'

/** Directories that are watched; the daemon takes 256 in one stream. What is open beyond that shows no changes. */
const MAX_WATCHED = 128

/** Directories that are opened or closed together are one change of the stream. */
const SETTLE_MS = 30

/** After a stream has failed although the daemon answers. */
const RETRY_MS = 1000

/** Each time, what could not be watched is listed anew. */
const RENEW_MS = 15_000

interface LiveOptions {
  readonly directories: FilesApi['directories']
  readonly connection: Pick<Connection, 'returned'>
  /** A change in a directory that is watched. */
  readonly onEvent: (directory: string, event: FilesystemEvent) => void
  /** From now on changes of these are reported; what happened before must be looked up. */
  readonly onWatched: (directories: readonly string[]) => void
  /** One is not watched any longer. */
  readonly onEnded: (directory: string, code: string) => void
}

/** Keeps one stream of changes open for the directories that are shown. */
export class Live {
  readonly #options: LiveOptions
  #wanted: readonly string[] = []
  #watched: ReadonlySet<string> = new Set()
  #stream: AbortController | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  readonly #closed = new AbortController()

  constructor(options: LiveOptions) {
    this.#options = options
  }

  /** Whether changes of a directory are reported. */
  has(directory: string): boolean {
    return this.#watched.has(directory)
  }

  /** Whether it is or will be watched. */
  wants(directory: string): boolean {
    return this.#wanted.includes(directory)
  }

  /** Watches these, the first MAX_WATCHED of them, and no others. */
  set(directories: readonly string[]): void {
    const wanted = directories.slice(0, MAX_WATCHED)
    if (wanted.length === this.#wanted.length && wanted.every((path) => this.wants(path))) return
    this.#wanted = wanted
    this.#schedule(SETTLE_MS)
  }

  /** Tries again after a while to watch what is not watched: it may come back, or there may be room for it. */
  renew(): void {
    this.#schedule(RENEW_MS)
  }

  close(): void {
    this.#closed.abort()
    clearTimeout(this.#timer)
    this.#stream?.abort()
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer)
    if (this.#closed.signal.aborted) return
    this.#timer = setTimeout(() => void this.#open(), delay)
  }

  /** The old stream goes on until the new one has begun, so that nothing is missed. */
  async #open(): Promise<void> {
    const paths = this.#wanted
    const before = this.#stream
    const stream = new AbortController()
    this.#stream = stream
    if (paths.length === 0) return before?.abort()
    const watched = onUnseen(() => stream.abort())
    try {
      await this.#follow(paths, stream.signal, () => before?.abort())
    } catch {
      // The reason does not matter: the stream is opened again, and what was missed is looked up.
    } finally {
      watched()
    }
    if (this.#stream !== stream || this.#closed.signal.aborted) return
    this.#watched = new Set()
    await whenSeen(this.#closed.signal)
    await this.#options.connection.returned(this.#closed.signal).catch(() => undefined)
    this.#schedule(RETRY_MS)
  }

  async #follow(paths: readonly string[], signal: AbortSignal, onStarted: () => void): Promise<void> {
    const { directories, onEvent, onEnded, onWatched } = this.#options
    for await (const { event } of directories({ paths: [...paths], includeEntry: true }, { signal })) {
      const path = event.case === 'change' || event.case === 'ended' ? paths[event.value.directory] : undefined
      if (event.case === 'started') {
        onStarted()
        const added = paths.filter((each) => !this.has(each))
        this.#watched = new Set(paths)
        onWatched(added)
      } else if (event.case === 'change' && path !== undefined && event.value.event !== undefined) {
        onEvent(path, event.value.event)
      } else if (event.case === 'ended' && path !== undefined) {
        this.#watched = new Set([...this.#watched].filter((each) => each !== path))
        onEnded(path, event.value.code)
      }
    }
  }
}

/** Whether a name is gone after an event: a rename reports the old name by RENAME and the new one by CREATE. */
export function isGone({ type }: FilesystemEvent): boolean {
  return type === EventType.REMOVE || type === EventType.RENAME
}
