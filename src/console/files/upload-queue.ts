/** What is to be uploaded, and how far it is. */
export interface Upload {
  readonly id: number
  /** Where it goes. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  readonly sent: number
  /** `exists`: a file of this name is there, and the user must choose. */
  readonly state: 'waiting' | 'sending' | 'paused' | 'done' | 'exists' | 'failed' | 'cancelled'
  /** It is being sent, and waits for the daemon to answer. */
  readonly stalled: boolean
  readonly failure: string | undefined
  /** It may take the place of a file that is there. */
  readonly replace: boolean
}

/** The outcome of sending one file that did not fail. */
export type Sent = 'done' | 'exists'

/** How one file is sent. */
export interface SendOptions {
  /** Aborts when it is paused or cancelled. */
  readonly signal: AbortSignal
  /** Takes the bytes that were sent so far. */
  readonly onProgress: (sent: number) => void
  /** Takes whether it waits for the daemon to answer. */
  readonly onWaiting: (waiting: boolean) => void
}

interface Options<Source> {
  /**
   * Sends one file, from where it was left. Rejects with an Error whose message can be shown, or when the signal
   * aborts.
   */
  readonly send: (source: Source, upload: Upload, options: SendOptions) => Promise<Sent>
  /** Removes what has come of a file that is not to be sent. Never rejects. */
  readonly discard: (source: Source, upload: Upload) => Promise<void>
  /** Called after each change; not more often than that. */
  readonly onChange: () => void
}

/** All uploads in sum. */
export interface UploadTotals {
  readonly files: number
  readonly done: number
  readonly failed: number
  readonly exists: number
  /** Waiting, being sent, or paused. */
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
  /** The last attempt, and what it leaves, has ended. */
  settled: Promise<void>
}

const OPEN: readonly Upload['state'][] = ['waiting', 'sending', 'paused']
const IDLE: readonly Upload['state'][] = ['paused', 'failed', 'exists', 'cancelled']

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
      const begin = { sent: 0, state: 'waiting', stalled: false, failure: undefined, replace: false } as const
      this.#items.set(id, { upload: { id, path, size, ...begin }, source, abort: undefined, settled: NOTHING })
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
      const { state } = upload
      if (state === 'waiting' || state === 'sending' || state === 'paused') totals.open++
      else totals[state]++
    }
    return totals
  }

  /** Ends one upload; the file stays as it was, and nothing of the new one is left. */
  cancel(id: number): void {
    const item = this.#items.get(id)
    if (item === undefined || item.upload.state === 'done' || item.upload.state === 'cancelled') return
    const wasIdle = IDLE.includes(item.upload.state)
    item.upload = { ...item.upload, state: 'cancelled', stalled: false }
    item.abort?.abort()
    if (wasIdle) this.#discard(item)
    this.#changed()
  }

  /** Stops one that waits or is being sent, until `retry`. */
  pause(id: number): void {
    const item = this.#items.get(id)
    if (item?.upload.state !== 'sending' && item?.upload.state !== 'waiting') return
    item.upload = { ...item.upload, state: 'paused', stalled: false }
    item.abort?.abort()
    this.#changed()
  }

  cancelAll(): void {
    for (const id of this.#items.keys()) this.cancel(id)
  }

  /** Goes on with one that is paused, sends one again that failed, or, with `replace`, one whose place was taken. */
  retry(id: number, { replace = false } = {}): void {
    const item = this.#items.get(id)
    if (item === undefined || !IDLE.includes(item.upload.state)) return
    const replaces = replace || item.upload.replace
    const sent = item.upload.state === 'paused' ? item.upload.sent : 0
    item.upload = { ...item.upload, state: 'waiting', sent, failure: undefined, replace: replaces }
    this.#waiting.push(id)
    this.#changed()
  }

  /** Sends all again whose places were taken. */
  replaceAll(): void {
    for (const { upload } of this.#items.values())
      if (upload.state === 'exists') this.retry(upload.id, { replace: true })
  }

  /** Forgets what is not waiting, being sent or paused. */
  clear(): void {
    for (const [id, item] of this.#items) {
      if (OPEN.includes(item.upload.state)) continue
      if (item.upload.state === 'failed') this.#discard(item)
      this.#items.delete(id)
    }
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
    const change = (part: Partial<Upload>) => {
      if (item.abort !== abort || abort.signal.aborted) return
      item.upload = { ...item.upload, ...part }
      this.#options.onChange()
    }
    const end = await this.#outcome(item, {
      signal: abort.signal,
      onProgress: (sent) => change({ sent: Math.min(sent, item.upload.size) }),
      onWaiting: (stalled) => stalled !== item.upload.stalled && change({ stalled }),
    })
    this.#sending--
    // One that was stopped, and perhaps waits to be sent again already, stays what it is.
    if (item.abort === abort) {
      item.abort = undefined
      if (!abort.signal.aborted || end.state === 'done') item.upload = { ...item.upload, stalled: false, ...end }
    }
    this.#changed()
  }

  #outcome(item: Item<Source>, options: SendOptions): Promise<{ state: Sent | 'failed'; failure: string | undefined }> {
    const { source, upload } = item
    const outcome = item.settled
      .then(() => this.#options.send(source, upload, options))
      .then(
        (state) => ({ state, failure: undefined }),
        (error: unknown) => ({
          state: 'failed' as const,
          failure: error instanceof Error ? error.message : String(error),
        }),
      )
    item.settled = outcome.then(async ({ state }) => {
      // As one may be sent again meanwhile, it is asked now.
      if (state === 'failed' && item.upload.state === 'cancelled') await this.#options.discard(source, upload)
    })
    return outcome
  }

  #discard(item: Item<Source>): void {
    item.settled = item.settled.then(() => this.#options.discard(item.source, item.upload))
  }
}

const NOTHING = Promise.resolve()
