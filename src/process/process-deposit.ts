import { AppError } from '../errors.ts'
import type { Keeper } from '../keeper/keeper.ts'
import { type ChildDeposit, close, type ExitStatus, type Spawned } from '../native/index.ts'
import { sealedMemory } from '../native/packets.ts'
import { type End, waitStatusOf } from './exit-status.ts'
import type { InputReport } from './input-queue.ts'
import { KeptAccount, type KeptKill } from './kept-account.ts'
import type { KeptOutput } from './kept-output.ts'
import type { NotRun } from './not-run.ts'
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

/** Bytes that every record may take: there are no more records than processes. */
const PAGE_BYTES = 4096

interface DepositOptions {
  /** Left of `MAX_LONG_RECORDS`. */
  readonly room: { bytes: number }
  readonly key: number
  readonly keeper: Keeper
  readonly output: KeptOutput
  readonly onFinished: (deposit: ProcessDeposit, end: End) => void
  readonly onDropped: () => void
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

  /** To be called when the process runs (it may have deposited itself), or could not. Throws as `Keeper.put`. */
  begin(outcome: Spawned | NotRun): void {
    const { key, keeper } = this.#options
    try {
      if (this.#prepared === undefined) return
      if ('status' in outcome) {
        // In the place of what it has deposited before its program was found to be none.
        keeper.put(key, outcome.pid, [this.#prepared.memory])
        keeper.exited(key, waitStatusOf(outcome.status))
      } else if (!outcome.deposited) keeper.put(key, outcome.pid, this.#prepared.with(outcome.pidfd))
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
    this.#options.onDropped()
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
