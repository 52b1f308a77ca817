import { constants } from 'node:os'
import { close, duplicate, type Poll, poll } from '../native/index.ts'
import { receivePacket, sendPacket, sendPackets } from '../native/packets.ts'
import { decode, encode, MESSAGE_BYTES, type Message } from './protocol.ts'

/** A message with the descriptors that travel beside it. */
export interface Received {
  readonly message: Message
  /** The receiver's to close. */
  readonly descriptors: number[]
  /** Some are missing: no more may be open. */
  readonly cut: boolean
}

interface Waiting {
  readonly bytes: Buffer
  /** Duplicates that the message owns, so that the sender may close its own. */
  readonly descriptors: number[]
  /** Called once it is sent, or never will be. */
  done?: () => void
}

const { EAGAIN, ENOBUFS, ENOMEM } = constants.errno

/** Node does not name it (errno(3)): too many descriptors are under way. */
const ETOOMANYREFS = 109

/** The kernel lacks memory at the moment, which no event reports the end of. */
const SHORT_OF_MEMORY: ReadonlySet<number> = new Set([-ENOBUFS, -ENOMEM, -ETOOMANYREFS])
const RETRY_MS = 10

/** Messages that wait for a keeper that takes none; it takes them at once, unless it was stopped (SIGSTOP). */
const MAX_WAITING = 4096

/** The daemon's end of the socket pair. Owns the descriptor. */
export class Channel {
  readonly #fd: number
  readonly #readable: Poll
  readonly #writable: Poll
  readonly #writableFd: number
  readonly #waiting: Waiting[] = []
  /** What is sent together, at the end of `together`; undefined: each message is sent at once. */
  #batch: Buffer[] | undefined
  readonly #onMessage: (received: Received) => void
  readonly #onLost: (why: string) => void
  readonly #buffer = Buffer.alloc(MESSAGE_BYTES)
  #open = true
  #retry: NodeJS.Timeout | undefined

  /** @param onLost called once, when the channel has closed by itself; nothing is sent or received any more. */
  constructor(fd: number, onMessage: (received: Received) => void, onLost: (why: string) => void) {
    this.#fd = fd
    this.#onMessage = onMessage
    this.#onLost = onLost
    this.#readable = poll(fd, false, () => this.#receiveAll())
    this.#writableFd = duplicate(fd)
    this.#writable = poll(this.#writableFd, true, () => this.#flush())
    this.#readable.start()
  }

  /**
   * Sends after what waits already; the descriptors stay the caller's, who may close them at once. Throws as
   * `duplicate`, when they have to wait and there are too many open files.
   * @param path as `encode`.
   */
  send(message: Message, descriptors: readonly number[] = [], path?: string): void {
    if (!this.#open) return
    const bytes = encode(message, path)
    if (this.#batch !== undefined && bytes.length === MESSAGE_BYTES && descriptors.length === 0) {
      this.#batch.push(bytes)
      return
    }
    this.#sendBatch()
    if (this.#waiting.length === 0) {
      const result = sendPacket(this.#fd, bytes, descriptors)
      if (result >= 0 || !this.#goesOnLater(result)) return
    }
    this.#wait(bytes, descriptors)
  }

  /** Sends the messages of `work`, which does not wait, together when it has returned or thrown. */
  together(work: () => void): void {
    this.#batch ??= []
    try {
      work()
    } finally {
      this.#sendBatch()
      this.#batch = undefined
    }
  }

  #sendBatch(): void {
    const left = this.#batch?.splice(0) ?? []
    while (left.length > 0 && this.#open && this.#waiting.length === 0) {
      const result = sendPackets(this.#fd, Buffer.concat(left), MESSAGE_BYTES)
      if (result >= 0) left.splice(0, result)
      else if (this.#goesOnLater(result)) break
    }
    for (const bytes of left) if (this.#open) this.#wait(bytes, [])
  }

  #wait(bytes: Buffer, descriptors: readonly number[]): void {
    if (this.#waiting.length >= MAX_WAITING) this.#lose('it takes no messages')
    else this.#waiting.push({ bytes, descriptors: duplicates(descriptors) })
  }

  /** Resolves when all that was to be sent so far is sent, or never will be. Undefined: that is so already. */
  sent(): Promise<void> | undefined {
    const last = this.#waiting.at(-1)
    if (last === undefined) return undefined
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = last.done
    last.done = () => {
      before?.()
      resolve()
    }
    return promise
  }

  /** Idempotent. What waits is not sent. */
  close(): void {
    if (!this.#open) return
    this.#open = false
    clearTimeout(this.#retry)
    this.#readable.close()
    this.#writable.close()
    close(this.#fd)
    close(this.#writableFd)
    for (const waiting of this.#waiting.splice(0)) settle(waiting)
  }

  #lose(why: string): void {
    this.close()
    this.#onLost(why)
  }

  /** Whether what could not be sent can be sent later, and then sees to it; if not, the channel is lost. */
  #goesOnLater(result: number): boolean {
    if (result === -EAGAIN) this.#writable.start()
    else if (SHORT_OF_MEMORY.has(result)) {
      // Not by the event: the socket takes more all the while.
      this.#writable.stop()
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined
        this.#flush()
      }, RETRY_MS)
    } else {
      this.#lose(`sendmsg: errno ${-result}`)
      return false
    }
    return true
  }

  #flush(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#open; next = this.#waiting[0]) {
      const result = sendPacket(this.#fd, next.bytes, next.descriptors)
      if (result < 0) {
        this.#goesOnLater(result)
        return
      }
      this.#waiting.shift()
      settle(next)
    }
    if (this.#open) this.#writable.stop()
  }

  #receiveAll(): void {
    while (this.#open) {
      const [length, descriptors, cut] = receivePacket(this.#fd, this.#buffer, 0, MESSAGE_BYTES)
      if (length === -EAGAIN) return
      if (length <= 0) {
        this.#lose('it has closed the channel')
        return
      }
      const message = decode(this.#buffer, length)
      if (message !== undefined) this.#onMessage({ message, descriptors, cut })
      else for (const fd of descriptors) close(fd)
    }
  }
}

function settle({ descriptors, done }: Waiting): void {
  for (const fd of descriptors) close(fd)
  done?.()
}

/** The caller closes them. Throws as `duplicate`, and leaves none open then. */
function duplicates(descriptors: readonly number[]): number[] {
  const copies: number[] = []
  try {
    for (const fd of descriptors) copies.push(duplicate(fd))
    return copies
  } catch (error) {
    for (const fd of copies) close(fd)
    throw error
  }
}
