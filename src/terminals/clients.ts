import { AppError } from '../errors.ts'
import type { TerminalSize } from '../process/process.ts'
import type { Resize } from './screen-feed.ts'

/** Whose window decides about the size. */
export type ResizePolicy = 'newest' | 'smallest'

/** A client that is attached. */
export interface AttachedClient {
  readonly id: number
  /** Size of its window; undefined: it does not count. */
  size: TerminalSize | undefined
  /** Sizes that its stream has yet to send. */
  readonly resizes: Resize[]
}

/** Sizes that a slow stream may have yet to send; the oldest beyond them are dropped. */
const MAX_RESIZES = 64

/** The clients of one terminal: who writes, and what size that makes. */
export class Clients {
  /** The newest last: by attaching, or by its last resize. */
  readonly #clients = new Map<number, AttachedClient>()
  #policy: ResizePolicy = 'newest'
  #writer: number | undefined

  get count(): number {
    return this.#clients.size
  }

  add(id: number, how: { size?: TerminalSize; policy?: ResizePolicy | undefined; takeover: boolean }): AttachedClient {
    const client: AttachedClient = { id, size: how.size, resizes: [] }
    this.#clients.set(id, client)
    if (how.policy !== undefined) this.#policy = how.policy
    if (how.takeover) this.#writer = id
    return client
  }

  remove({ id }: AttachedClient): void {
    this.#clients.delete(id)
    if (this.#writer === id) this.#writer = undefined
  }

  /** A client's window has another size. @throws AppError `not_found` for one that is not attached. */
  resize(id: number, size: TerminalSize): void {
    const client = this.#clients.get(id)
    if (client === undefined) throw new AppError('not_found', `client ${id} is not attached to the terminal`)
    client.size = size
    this.#clients.delete(id)
    this.#clients.set(id, client)
  }

  /** The terminal has another size from that place in its output on. */
  resized(resize: Resize): void {
    for (const { resizes } of this.#clients.values()) {
      if (resizes.length >= MAX_RESIZES) resizes.shift()
      resizes.push(resize)
    }
  }

  /** @throws AppError `failed_precondition` when another client has taken over. */
  checkWriter(id: number): void {
    if (this.#writer !== undefined && this.#writer !== id)
      throw new AppError('failed_precondition', `client ${this.#writer} has taken over the terminal: only it may write`)
  }

  /** What the terminal's size is to be; undefined: no client decides it. */
  wantedSize(): TerminalSize | undefined {
    const sizes = [...this.#clients.values()].flatMap(({ size }) => (size === undefined ? [] : [size]))
    if (this.#policy === 'newest' || sizes.length === 0) return sizes.at(-1)
    const least = (of: (size: TerminalSize) => number) => Math.min(...sizes.map(of))
    return { columns: least(({ columns }) => columns), rows: least(({ rows }) => rows) }
  }
}
