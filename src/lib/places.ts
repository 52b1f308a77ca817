import type { EventEmitter } from 'node:events'

/** After its client has left, work of longer than this hangs in a system call, as on a mount whose server is gone. */
const STUCK_MS = 5_000
/** Of that in sum; what memory it has stays counted by its holds. With so much no place is given. */
const MAX_STUCK = 64

/**
 * Places for work of which a number may be under way at a time. What hangs after its client has left keeps its place
 * only for a while.
 */
export class Places {
  readonly #limit: number
  #taken = 0
  #stuck = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Takes a place, and returns what gives it back: to be called once, when the work is over. Undefined: there is none.
   * @param client emits `close` when it has left.
   */
  take(client: EventEmitter): (() => void) | undefined {
    if (this.#taken >= this.#limit || this.#stuck >= MAX_STUCK) return undefined
    this.#taken++
    let isStuck = false
    let timer: NodeJS.Timeout | undefined
    const onStuck = () => {
      isStuck = true
      this.#taken--
      this.#stuck++
    }
    const onClose = () => {
      timer = setTimeout(onStuck, STUCK_MS).unref()
    }
    client.once('close', onClose)
    return () => {
      client.off('close', onClose)
      clearTimeout(timer)
      if (isStuck) this.#stuck--
      else this.#taken--
    }
  }
}
