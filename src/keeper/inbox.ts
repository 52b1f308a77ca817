import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { close } from '../native/index.ts'
import type { Received } from './channel.ts'
import { depositOf } from './deposit.ts'
import { endText } from './end-text.ts'
import type { Deposit, Taken } from './keeper.ts'
import type { Keys } from './keys.ts'
import { CANCEL, END, EXITED, HEARS_CHILDREN, type Message, PUT, READY, REFUSED, TRIAL, WENT_BACK } from './protocol.ts'

/** Sorts what the keeper sends. The descriptors in deposits are those of who takes them. */
export class Inbox {
  readonly #exits = new Map<number, (status: number) => void>()
  /** Ends that came before a call waited for them. */
  readonly #early = new Map<number, number>()
  readonly #refused = new Map<number, () => void>()
  readonly taken = Promise.withResolvers<Taken>()
  readonly #deposits: Deposit[] = []
  readonly #keys: Keys
  readonly #nothing: Taken
  readonly #log: Log
  #next: PromiseWithResolvers<void> | undefined
  #gone: PromiseWithResolvers<void> | undefined
  #hearsChildren = false

  /** @param nothing what is taken when the keeper is lost. */
  constructor(keys: Keys, nothing: Taken, log: Log) {
    this.#keys = keys
    this.#nothing = nothing
    this.#log = log
  }

  handle(received: Received): void {
    const { message, descriptors } = received
    const { type, key, pid, status, value } = message
    if (type === PUT) {
      this.#keys.use(key)
      if (received.cut) this.#log.error({ key, pid }, 'no more files may be open: a deposit is not taken')
      this.#deposits.push(depositOf(received))
      return
    }
    for (const fd of descriptors) close(fd)
    if (type === EXITED) this.#exited(key, status)
    else if (type === REFUSED) this.#isRefused(key, status)
    else if (type === READY) this.#next?.resolve()
    else if (type === CANCEL) this.#cancelled(`the other daemon ${endText(status)} before it was ready`)
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

  /**
   * Resolves when another daemon is ready, and rejects with AppError when it cannot be. To be called when `gone` of the
   * one before has resolved: the keeper does not say which one an answer is for.
   */
  awaitNext(): Promise<void> {
    this.#next = Promise.withResolvers()
    this.#gone = Promise.withResolvers()
    return this.#next.promise
  }

  /** Resolves when the keeper has said of the daemon that was awaited last that it is gone. Undefined: none was. */
  get gone(): Promise<void> | undefined {
    return this.#gone?.promise
  }

  #cancelled(why: string): void {
    this.#next?.reject(new AppError('failed_precondition', why))
    this.#gone?.resolve()
  }

  /** Calls back once, never before it has returned. */
  onExited(key: number, use: (status: number) => void): void {
    const status = this.#early.get(key)
    if (status === undefined) this.#exits.set(key, use)
    else setImmediate(use, status)
  }

  /** Calls back whenever what was put under the key is not kept, until the key is forgotten. */
  onRefused(key: number, use: () => void): void {
    this.#refused.set(key, use)
  }

  #isRefused(key: number, errno: number): void {
    this.#log.warn({ key, errno }, 'the keeper refuses to keep descriptors')
    this.#refused.get(key)?.()
  }

  forget(key: number): void {
    this.#refused.delete(key)
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
    this.#cancelled('the keeper is lost')
  }
}
