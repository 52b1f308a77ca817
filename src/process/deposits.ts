import type { Keeper } from '../keeper/keeper.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'
import { noFileLimit } from '../native/index.ts'
import { type End, leftOf } from './exit-status.ts'
import { KeptOutput } from './kept-output.ts'
import type { OutputMemory } from './output-memory.ts'
import type { FoundOutput } from './output-recovery.ts'
import { ProcessDeposit } from './process-deposit.ts'

/**
 * Ends that are kept for the next daemon; beyond it the oldest are dropped. Each takes 6 KB of kernel memory and its
 * retained output.
 */
const MAX_FINISHED = 256

/** Descriptors that the keeper has of each command that runs, and those that it needs for all else. */
const RUNNING_DESCRIPTORS = 5
const KEEPER_DESCRIPTORS = 40

/**
 * Bytes of all records together that are longer than a page; a command whose record has no room does not outlive the
 * daemon.
 */
const MAX_LONG_RECORDS = 16 * 1024 * 1024

/** The keeper, and the memory that output lies in. */
interface Stores {
  readonly keeper: Keeper
  readonly memory: OutputMemory
  /** Milliseconds that an end is kept. */
  readonly keepMs: number
  readonly log: Log
}

/** The deposits of all processes. */
export class Deposits {
  readonly #stores: Stores
  /** Deposits of processes whose end was reported and whose output is complete, oldest first. */
  readonly #finished = new Map<ProcessDeposit, number>()
  readonly #room = { bytes: MAX_LONG_RECORDS }
  /** Deposits that were not dropped. */
  #open = 0
  #timer: NodeJS.Timeout | undefined

  constructor(stores: Stores) {
    this.#stores = stores
  }

  /**
   * A deposit for a process that is about to start; undefined: there is no room for one more, or no memory.
   * @param limited of its output only positions are kept.
   */
  reserve(limited: boolean): ProcessDeposit | undefined {
    const { keeper } = this.#stores
    const key = keeper.freeKey()
    if (key === undefined) return undefined
    this.#makeRoom()
    try {
      const deposit = this.resume(key, limited)
      deposit.output.clear()
      keeper.onRefused(key, () => {
        this.notKept(new Error('the keeper has refused it'))
        deposit.drop()
      })
      return deposit
    } catch (error) {
      // The memory for its output could not be mapped.
      keeper.drop(key)
      this.notKept(error)
      return undefined
    }
  }

  /** The deposit that an earlier daemon has made under that key, with what was found of its output. */
  resume(key: number, limited: boolean, found?: FoundOutput): ProcessDeposit {
    const { keeper, memory } = this.#stores
    const output = new KeptOutput(memory, key, { kept: !limited, found })
    const onFinished = (deposit: ProcessDeposit, end: End) => this.#retain(deposit, end)
    const onDropped = () => {
      this.#open--
    }
    this.#open++
    return new ProcessDeposit({ key, keeper, output, room: this.#room, onFinished, onDropped })
  }

  /** A command that runs needs the next daemon more than ends do: the oldest make room in the keeper. */
  #makeRoom(): void {
    const most = noFileLimit()[1] - KEEPER_DESCRIPTORS
    for (const deposit of this.#finished.keys()) {
      const ended = this.#finished.size
      if ((this.#open - ended + 1) * RUNNING_DESCRIPTORS + ended <= most) return
      this.#forget(deposit)
    }
  }

  /** What an earlier daemon has left of the output of these keys. To be called once, before any start. */
  recover(keys: Iterable<number>): ReadonlyMap<number, FoundOutput> {
    return this.#stores.memory.recover(new Set(keys))
  }

  /** Logs that a command does not outlive this daemon. */
  notKept(error: unknown): void {
    this.#stores.log.info({ ...errorFields(error) }, 'a command does not outlive this daemon')
  }

  #retain(deposit: ProcessDeposit, end: End): void {
    const left = leftOf(this.#stores.keepMs, end)
    this.#finished.set(deposit, performance.now() + left)
    const [oldest] = this.#finished.keys()
    if (this.#finished.size > MAX_FINISHED && oldest !== undefined) this.#forget(oldest)
    this.#timer ??= setTimeout(() => this.#expire(), left).unref()
  }

  #forget(deposit: ProcessDeposit): void {
    this.#finished.delete(deposit)
    deposit.drop()
  }

  #expire(): void {
    const now = performance.now()
    for (const [deposit, until] of this.#finished) if (until <= now) this.#forget(deposit)
    this.#timer = undefined
    const [next] = this.#finished.values()
    if (next !== undefined) this.#timer = setTimeout(() => this.#expire(), next - now).unref()
  }
}
