/** What is to be uploaded, and how far it is. */
export interface Upload {
  readonly id: number
  /** Where it goes. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly sent: number
  /** `exists`: a file of this name is there, and somebody must choose. */
  readonly state: 'waiting' | 'sending' | 'done' | 'exists' | 'failed' | 'cancelled'
  readonly failure: string | undefined
  /** It may take the place of a file that is there. */
  readonly replace: boolean
}

/** The outcome of sending one file that did not fail. */
export type Sent = 'done' | 'exists'

/** Sends one file. Rejects with an Error whose message can be shown, or when the signal aborts. */
type Send<Source> = (
  source: Source,
  upload: Upload,
  options: { readonly signal: AbortSignal; readonly onProgress: (sent: number) => void },
) => Promise<Sent>

interface Options<Source> {
  readonly send: Send<Source>
  /** Called after each change; not more often than that. */
  readonly onChange: () => void
}

/** All uploads in sum. */
export interface UploadTotals {
  readonly files: number
  readonly done: number
  readonly failed: number
  readonly exists: number
  /** Waiting or being sent. */
  readonly open: number
  readonly bytes: number
  readonly sent: number
}

/** A browser opens six connections to one host; others of the page must have some. */
const AT_ONCE = 3

/** Files that the page keeps a handle of, some 500 bytes each. */
export const MAX_UPLOADS = 50_000

interface Item<Source> {
  upload: Upload
  readonly source: Source
  abort: AbortController | undefined
}

/** Sends files some at a time, in the order in which they came. */
export class UploadQueue<Source> {
  readonly #options: Options<Source>
  readonly #items = new Map<number, Item<Source>>()
  readonly #waiting: number[] = []
  #sending = 0
  #lastId = 0

  constructor(options: Options<Source>) {
    this.#options = options
  }

  /** Takes files in. @returns how many were left out, as there are MAX_UPLOADS. */
  add(files: readonly { readonly source: Source; readonly path: string; readonly size: number }[]): number {
    const room = Math.max(0, MAX_UPLOADS - this.#items.size)
    for (const { source, path, size } of files.slice(0, room)) {
      const id = ++this.#lastId
      const upload: Upload = { id, path, size, sent: 0, state: 'waiting', failure: undefined, replace: false }
      this.#items.set(id, { upload, source, abort: undefined })
      this.#waiting.push(id)
    }
    this.#changed()
    return files.length - Math.min(files.length, room)
  }

  /** All of them, in the order in which they came. */
  uploads(): readonly Upload[] {
    return [...this.#items.values()].map(({ upload }) => upload)
  }

  totals(): UploadTotals {
    const totals = { files: 0, done: 0, failed: 0, exists: 0, open: 0, bytes: 0, sent: 0 }
    for (const { upload } of this.#items.values()) {
      if (upload.state === 'cancelled') continue
      totals.files++
      totals.bytes += upload.size
      totals.sent += upload.state === 'done' ? upload.size : upload.sent
      if (upload.state === 'waiting' || upload.state === 'sending') totals.open++
      else totals[upload.state]++
    }
    return totals
  }

  /** Ends one upload; the file stays as it was. */
  cancel(id: number): void {
    const item = this.#items.get(id)
    if (item === undefined || item.upload.state === 'done') return
    item.upload = { ...item.upload, state: 'cancelled' }
    item.abort?.abort()
    this.#changed()
  }

  cancelAll(): void {
    for (const id of this.#items.keys()) this.cancel(id)
  }

  /** Sends one again that failed, or, with `replace`, one whose place was taken. */
  retry(id: number, { replace = false } = {}): void {
    const item = this.#items.get(id)
    if (item === undefined || !['failed', 'exists', 'cancelled'].includes(item.upload.state)) return
    const replaces = replace || item.upload.replace
    item.upload = { ...item.upload, state: 'waiting', sent: 0, failure: undefined, replace: replaces }
    this.#waiting.push(id)
    this.#changed()
  }

  /** Sends all again whose places were taken. */
  replaceAll(): void {
    for (const { upload } of this.#items.values())
      if (upload.state === 'exists') this.retry(upload.id, { replace: true })
  }

  /** Forgets what is not waiting or being sent. */
  clear(): void {
    for (const [id, { upload }] of this.#items)
      if (upload.state !== 'waiting' && upload.state !== 'sending') this.#items.delete(id)
    this.#changed()
  }

  #changed(): void {
    this.#start()
    this.#options.onChange()
  }

  #start(): void {
    while (this.#sending < AT_ONCE) {
      const id = this.#waiting.shift()
      if (id === undefined) return
      const item = this.#items.get(id)
      if (item?.upload.state !== 'waiting') continue
      this.#sending++
      void this.#send(item)
    }
  }

  async #send(item: Item<Source>): Promise<void> {
    const abort = new AbortController()
    item.abort = abort
    item.upload = { ...item.upload, state: 'sending' }
    const onProgress = (sent: number) => {
      if (item.abort !== abort) return
      item.upload = { ...item.upload, sent: Math.min(sent, item.upload.size) }
      this.#options.onChange()
    }
    const end = await this.#options.send(item.source, item.upload, { signal: abort.signal, onProgress }).then(
      (state) => ({ state, failure: undefined }),
      (error: unknown) => ({
        state: 'failed' as const,
        failure: error instanceof Error ? error.message : String(error),
      }),
    )
    this.#sending--
    // One that was cancelled, and perhaps is sent again already, stays what it is.
    if (item.abort === abort) {
      item.abort = undefined
      if (!abort.signal.aborted || end.state === 'done') item.upload = { ...item.upload, ...end }
    }
    this.#changed()
  }
}
