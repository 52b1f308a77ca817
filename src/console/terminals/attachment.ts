import { type Client, Code, ConnectError } from '@connectrpc/connect'
import type { AttachResponse, Terminals } from '../../gen/terminals/v1/terminals_pb.js'
import type { Connection } from '../connection.ts'
import type { Emulator } from './emulator.ts'
import { createInputQueue } from './input-queue.ts'

/** How it stands with a terminal of the page. */
export type AttachmentState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'attached' }
  /** Another device writes to it alone. */
  | { readonly kind: 'watching' }
  | { readonly kind: 'lost' }
  | { readonly kind: 'ended'; readonly how: string }
  | { readonly kind: 'failed'; readonly reason: string }

/** A terminal that the page is attached to, as long as it lives; after a loss it attaches again by itself. */
export interface Attachment {
  /** From now on no other client writes. */
  takeOver(): void
  /** Tells the size of the window. */
  resize(): void
  /**
   * Whether it is seen. The stream of one that is not is closed, as a browser has six connections to a host, unless it
   * has taken over, which would end with it; when it is seen again what was missed comes.
   */
  show(shown: boolean): void
  /** Detaches. The terminal lives on. */
  close(): void
}

interface AttachmentDeps {
  readonly client: Client<typeof Terminals>
  readonly connection: Connection
  readonly emulator: Emulator
  readonly onState: (state: AttachmentState) => void
  readonly notify: (text: string) => void
}

/** Seconds between signs of life of a stream that has nothing to say, and how long the page waits for one. */
const KEEPALIVE_S = 10
const SILENCE_MS = 25_000
/** After a failure that is not the network's. */
const PAUSE_MS = 1_000

/** Attaches to the terminal of that pid. The caller closes the attachment. */
export function attach(pid: number, deps: AttachmentDeps): Attachment {
  const attempts = new Attempts(pid, deps)
  void attempts.run()
  return attempts
}

/** What goes on until the terminal has ended or is left: one stream after the other. */
class Attempts implements Attachment {
  readonly #deps: AttachmentDeps
  readonly #closed = new AbortController()
  readonly #terminal
  readonly #input
  #stream = new AbortController()
  #client: number | undefined
  /** After the last byte that was drawn. */
  #offset: bigint | undefined
  #takeover = false
  #exclusive = false
  #parts = false
  #hidden = false
  /** The stream was closed because it is hidden. */
  #left = false
  #wake: () => void = () => {}
  /** What is typed while one that was hidden attaches again waits for it: the client, or undefined if it fails. */
  #returning: PromiseWithResolvers<number | undefined> | undefined

  constructor(pid: number, deps: AttachmentDeps) {
    this.#terminal = { selector: { case: 'pid' as const, value: pid } }
    this.#deps = deps
    this.#input = createInputQueue(
      (bytes) => this.#send(bytes),
      (error) => this.#refused(error),
    )
    deps.emulator.onInput((bytes) => this.#typed(bytes))
  }

  takeOver(): void {
    this.#takeover = true
    this.#exclusive = true
    this.#stream.abort()
  }

  resize(): void {
    const size = this.#deps.emulator.fitting()
    const client = this.#client
    if (size === undefined || client === undefined) return
    // A window that has just lost its stream sends its size with the next one.
    this.#deps.client.resize({ terminal: this.#terminal, client, size }).catch(() => {})
  }

  show(shown: boolean): void {
    const hidden = !shown && !this.#exclusive
    if (hidden === this.#hidden) return
    this.#hidden = hidden
    if (hidden) {
      this.#left = true
      this.#client = undefined
      this.#stream.abort()
    } else {
      this.#returning = Promise.withResolvers()
      this.#wake()
    }
  }

  close(): void {
    this.#closed.abort()
    this.#stream.abort()
    this.#wake()
  }

  async run(): Promise<void> {
    const { connection, onState } = this.#deps
    const unsubscribe = connection.subscribe((state) => state === 'lost' && this.#stream.abort())
    try {
      while (!this.#closed.signal.aborted) {
        if (this.#hidden) await this.#shownAgain()
        this.#stream = new AbortController()
        this.#left = false
        const end = await this.#follow().catch((error: unknown) => failureOf(error))
        if (this.#left && end === undefined) continue
        this.#client = undefined
        this.#returning?.resolve(undefined)
        this.#returning = undefined
        if (this.#closed.signal.aborted) return
        if (end !== undefined) return onState(end)
        onState({ kind: this.#takeover ? 'connecting' : 'lost' })
        await this.#pause(this.#takeover)
      }
    } finally {
      unsubscribe()
    }
  }

  async #shownAgain(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  /** Waits until it may be worth another attempt. */
  async #pause(atOnce: boolean): Promise<void> {
    if (atOnce) return
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    await this.#deps.connection.returned(this.#closed.signal).catch(() => {})
  }

  /** One stream. Resolves with the end of the terminal, or undefined if only the stream has ended. */
  async #follow(): Promise<AttachmentState | undefined> {
    const { emulator } = this.#deps
    let silence = setTimeout(() => this.#stream.abort(), SILENCE_MS)
    const size = emulator.fitting()
    const sized = size === undefined ? {} : { size }
    try {
      for await (const message of this.#begin(sized)) {
        clearTimeout(silence)
        const end = await this.#take(message)
        if (end !== undefined) return end
        silence = setTimeout(() => this.#stream.abort(), SILENCE_MS)
      }
    } finally {
      clearTimeout(silence)
    }
    return undefined
  }

  #begin(sized: { size?: { columns: number; rows: number } }): AsyncIterable<AttachResponse> {
    const { client } = this.#deps
    const { signal } = this.#stream
    const options = { signal, headers: { 'Keepalive-Ping-Interval': String(KEEPALIVE_S) } }
    const takeover = this.#takeover
    this.#takeover = false
    const resumed = this.#offset === undefined ? {} : { resumeFrom: this.#offset }
    return client.attach({ terminal: this.#terminal, ...sized, takeover, ...resumed }, options)
  }

  async #take({ event }: AttachResponse): Promise<AttachmentState | undefined> {
    const { emulator, onState } = this.#deps
    if (event.case === 'attached') {
      const { client, size } = event.value
      this.#client = client
      this.#returning?.resolve(client)
      this.#returning = undefined
      if (size !== undefined) emulator.resize(size)
      onState({ kind: 'attached' })
    } else if (event.case === 'screen') {
      if (!this.#parts) emulator.reset()
      this.#parts = event.value.more
      this.#offset = event.value.offset
      await emulator.write(event.value.data)
    } else if (event.case === 'output') {
      this.#offset = event.value.offset + BigInt(event.value.data.length)
      await emulator.write(event.value.data)
    } else if (event.case === 'resized') emulator.resize(event.value)
    else if (event.case === 'end') {
      // Nothing is to be said to it any more.
      this.#client = undefined
      return { kind: 'ended', how: event.value.error ?? event.value.status }
    }
    return undefined
  }

  #typed(bytes: Uint8Array): void {
    // What is typed without a stream would arrive at some later time, or never.
    if (this.#client === undefined && this.#returning === undefined) return
    if (!this.#input.add(bytes)) this.#deps.notify('Too much input waits: it was dropped.')
  }

  async #send(bytes: Uint8Array): Promise<void> {
    const client = this.#client ?? (await this.#returning?.promise)
    if (client === undefined) return
    await this.#deps.client.write({ terminal: this.#terminal, client, data: bytes as Uint8Array<ArrayBuffer> })
  }

  #refused(error: unknown): void {
    const taken = error instanceof ConnectError && error.code === Code.FailedPrecondition
    if (taken) this.#exclusive = false
    if (taken) this.#deps.onState({ kind: 'watching' })
    else this.#deps.notify('The last input may not have arrived.')
  }
}

/** What no other attempt would change; undefined: the stream was cut. */
function failureOf(error: unknown): AttachmentState | undefined {
  if (!(error instanceof ConnectError)) return undefined
  if (error.code === Code.NotFound) return { kind: 'ended', how: 'it has ended' }
  const final = [Code.InvalidArgument, Code.PermissionDenied, Code.Unauthenticated, Code.Unimplemented]
  return final.includes(error.code) ? { kind: 'failed', reason: error.rawMessage } : undefined
}
