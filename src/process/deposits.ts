import { AppError } from '../errors.ts'
import type { Keeper } from '../keeper/keeper.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'
import { type ChildDeposit, close, type ExitStatus, type Spawned } from '../native/index.ts'
import { sealedMemory } from '../native/packets.ts'
import { type End, leftOf, waitStatusOf } from './exit-status.ts'
import type { InputReport } from './input-queue.ts'
import { KeptAccount, type KeptKill } from './kept-account.ts'
import { KeptOutput } from './kept-output.ts'
import type { OutputMemory } from './output-memory.ts'
import type { FoundOutput } from './output-recovery.ts'
import type { TerminalSize } from './process.ts'
import { encodeRecord, type ProcessRecord } from './process-record.ts'

/** Descriptors of a process as they lie in a deposit; all stay the caller's, and open until `begin`. */
interface Held {
  readonly sources: readonly { readonly fd: number }[]
  /** Its input where that is a pipe, or the held slave of its terminal. */
  readonly last: number | undefined
}

/** Where the process puts its pidfd (`ChildDeposit`). */
const PIDFD_PLACE = -1

/** Note of a process whose end was reported. */
export const FINISHED = 1

/**
 * Ends that are kept for the next daemon; beyond it the oldest are dropped. Each takes 6 KB of kernel memory and its
 * retained output.
 */
const MAX_FINISHED = 256

/** Bytes that every record may take: there are no more records than processes. */
const PAGE_BYTES = 4096

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
    return new ProcessDeposit({ key, keeper, output, room: this.#room, onFinished })
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

interface DepositOptions {
  /** Left of `MAX_LONG_RECORDS`. */
  readonly room: { bytes: number }
  readonly key: number
  readonly keeper: Keeper
  readonly output: KeptOutput
  readonly onFinished: (deposit: ProcessDeposit, end: End) => void
}

/**
 * What the next daemon goes on with: a record, the descriptors of output, and as long as the process lives its pidfd
 * and its input, or the slave of its terminal. They lie in this order, so that what is not needed any more is trimmed
 * from the end.
 */
export class ProcessDeposit {
  readonly output: KeptOutput
  readonly #options: DepositOptions
  #streams = 0
  /** Bytes of its record that count in `room`. */
  #long = 0
  /** No client asks the next daemon for its end. */
  #routine = false
  /** Descriptors that are left, at most. */
  #count = Number.POSITIVE_INFINITY
  /** Another process uses the key. */
  #dropped = false
  readonly #account: KeptAccount
  /** Its end was reported, and all its output read. */
  #complete: End | undefined
  /** Until the process runs: its record, and all descriptors of the deposit. */
  #prepared: { readonly memory: number; readonly with: (pidfd: number) => number[] } | undefined

  /** Made by `Deposits`. */
  constructor(options: DepositOptions) {
    this.#options = options
    this.output = options.output
    this.#account = new KeptAccount((account) => this.output.setAccount(account))
  }

  /**
   * Prepares the deposit of a process that is about to start. Resolves with what it deposits itself; undefined: `begin`
   * does it. Rejects as `sealedMemory`, and with AppError `resource_exhausted` when `MAX_LONG_RECORDS` are spent; a
   * service is kept all the same.
   */
  async prepare({ sources, last }: Held, record: ProcessRecord): Promise<ChildDeposit | undefined> {
    const { key, keeper, room } = this.#options
    const bytes = encodeRecord(record)
    const long = bytes.length > PAGE_BYTES ? bytes.length : 0
    if (long > room.bytes && record.run === undefined)
      throw new AppError('resource_exhausted', 'the descriptions of others take all room')
    room.bytes -= long
    this.#long = long
    this.#routine = record.routine
    const memory = sealedMemory(bytes)
    const streams = sources.map(({ fd }) => fd)
    this.#streams = streams.length
    this.#prepared = { memory, with: (pidfd) => [memory, ...streams, pidfd, ...(last === undefined ? [] : [last])] }
    return keeper.putByChild(key, this.#prepared.with(PIDFD_PLACE))
  }

  /** To be called when the process runs. Throws as `Keeper.put`. @param deposited it has deposited itself. */
  begin({ pid, pidfd, deposited }: Spawned): void {
    const { key, keeper } = this.#options
    try {
      if (!deposited && this.#prepared !== undefined) keeper.put(key, pid, this.#prepared.with(pidfd))
    } finally {
      this.#forgetPrepared()
    }
  }

  /** Sets the number of output streams, and the record with its bytes, for a deposit of an earlier daemon. */
  taken(streams: number, { routine }: ProcessRecord, bytes: number): void {
    this.#streams = streams
    this.#routine = routine
    this.#long = bytes > PAGE_BYTES ? bytes : 0
    this.#options.room.bytes -= this.#long
  }

  /**
   * Where its input reports how much was written and, if it is a pipe, that it was closed: then the keeper closes its
   * copy, so that the process sees the end of file.
   */
  input(isTerminal: boolean): InputReport {
    return {
      count: this.output.input,
      onClosed: isTerminal ? () => {} : () => this.#trim(this.#streams + 2),
    }
  }

  /** Records the new size of its terminal. */
  resized(size: TerminalSize): void {
    this.output.size = size
  }

  /** Calls back with the status when a process that an earlier daemon started has ended. */
  onExited(use: (status: number) => void): void {
    this.#options.keeper.onExited(this.#options.key, (status) => {
      this.#trim(this.#streams + 1)
      use(status)
    })
  }

  /**
   * Calls `use` for a child that has ended and is not reaped yet. Then the keeper knows how it has ended, and all else
   * that `use` had to say of it: until then the next daemon finds it not reaped.
   */
  atExit(status: ExitStatus, use: () => void): void {
    const { key, keeper } = this.#options
    keeper.together(() => {
      if (!this.#dropped) keeper.exited(key, waitStatusOf(status))
      use()
      this.#trim(this.#streams + 1)
    })
  }

  /**
   * A SIGKILL that is to be sent, to be called before it is: until the function is called that this returns, the next
   * daemon sends it. Not a deadline that is to come, which is in the record.
   */
  killing(kill: KeptKill): () => void {
    const over = this.#account.add(kill)
    return () => {
      over()
      this.#retire()
    }
  }

  /**
   * To be called when its end was reported. `drained`: no descriptor of its output is open. The deposit of a routine
   * command is removed then.
   */
  finished(drained: boolean, end: End): void {
    if (this.#routine && !this.#account.killing) this.drop()
    if (this.#dropped) return
    this.#account.end = end
    const { key, keeper } = this.#options
    this.#count = drained ? 1 : this.#streams + 1
    keeper.trim(key, this.#count, FINISHED)
    if (drained || this.#routine) this.#complete = end
    this.#retire()
  }

  /** Its session may have members that are still to be killed: until they are it does not make room for others. */
  #retire(): void {
    const end = this.#complete
    if (end === undefined || this.#account.killing || this.#dropped) return
    this.#complete = undefined
    if (this.#routine) this.drop()
    else this.#options.onFinished(this, end)
  }

  /** Removes the deposit from the keeper. */
  drop(): void {
    if (this.#dropped) return
    this.#dropped = true
    this.#forgetPrepared()
    this.#options.room.bytes += this.#long
    this.output.detach()
    this.#options.keeper.drop(this.#options.key)
  }

  #forgetPrepared(): void {
    if (this.#prepared !== undefined) close(this.#prepared.memory)
    this.#prepared = undefined
  }

  #trim(count: number): void {
    if (this.#dropped || count >= this.#count) return
    this.#count = count
    this.#options.keeper.trim(this.#options.key, count, 0)
  }
}
