import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { close } from '../native/index.ts'
import { endText } from './end-text.ts'
import type { Deposit, Taken } from './keeper.ts'
import type { Keys } from './keys.ts'
import {
  CANCEL,
  END,
  ENDED,
  EXITED,
  HEARS_CHILDREN,
  type Message,
  PUT,
  READY,
  REFUSED,
  TRIAL,
  WENT_BACK,
} from './protocol.ts'

/** Sorts what the keeper sends. Descriptors of deposits are those of who takes them. */
export class Inbox {
  readonly #exits = new Map<number, (status: number) => void>()
  /** Ends that came before a call waited for them. */
  readonly #early = new Map<number, number>()
  readonly taken = Promise.withResolvers<Taken>()
  readonly #deposits: Deposit[] = []
  readonly #keys: Keys
  readonly #nothing: Taken
  readonly #log: Log
  #next: PromiseWithResolvers<void> | undefined
  #hearsChildren = false

  /** @param nothing what is taken when the keeper is lost. */
  constructor(keys: Keys, nothing: Taken, log: Log) {
    this.#keys = keys
    this.#nothing = nothing
    this.#log = log
  }

  handle({ type, key, pid, status, value }: Message, descriptors: readonly number[]): void {
    if (type === PUT) {
      this.#keys.use(key)
      const ended = value >= ENDED
      this.#deposits.push({ key, pid, status: ended ? status : undefined, note: value % ENDED, descriptors })
      return
    }
    for (const fd of descriptors) close(fd)
    if (type === EXITED) this.#exited(key, status)
    else if (type === REFUSED) this.#log.warn({ key, errno: status }, 'the keeper refuses to keep descriptors')
    else if (type === READY) this.#next?.resolve()
    else if (type === CANCEL)
      this.#next?.reject(new AppError('failed_precondition', `the other daemon ${endText(status)} before it was ready`))
    else if (type === END) this.#end({ key, pid, status, value })
  }

  /** The keeper understands `Keeper.putByChild`; known once all is taken. */
  get hearsChildren(): boolean {
    return this.#hearsChildren
  }

  #end({ key: starts, pid: failures, status: lastStatus, value }: Omit<Message, 'type'>): void {
    this.#hearsChildren = (value & HEARS_CHILDREN) !== 0
    this.taken.resolve({
      ...{ deposits: this.#deposits.splice(0), starts, failures, lastStatus },
      ...{ trial: (value & TRIAL) !== 0, wentBack: (value & WENT_BACK) !== 0 },
    })
  }

  /** Resolves when another daemon is ready, and rejects with AppError when it cannot be. */
  awaitNext(): Promise<void> {
    this.#next = Promise.withResolvers()
    return this.#next.promise
  }

  /** Calls back once, never before it has returned. */
  onExited(key: number, use: (status: number) => void): void {
    const status = this.#early.get(key)
    if (status === undefined) this.#exits.set(key, use)
    else setImmediate(use, status)
  }

  forget(key: number): void {
    this.#exits.delete(key)
    this.#early.delete(key)
  }

  #exited(key: number, status: number): void {
    const use = this.#exits.get(key)
    if (use === undefined) this.#early.set(key, status)
    else use(status)
  }

  lost(reason: string): void {
    this.#hearsChildren = false
    this.#log.error({ reason }, 'the keeper is lost: nothing survives an unexpected end of the daemon')
    this.taken.resolve(this.#nothing)
    this.#next?.reject(new AppError('failed_precondition', 'the keeper is lost'))
  }
}
