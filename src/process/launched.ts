import type { LimitedGroup } from '../cgroups/limited-group.ts'
import type { ExitStatus } from '../native/index.ts'
import type { End } from './exit-status.ts'
import type { InputQueue } from './input-queue.ts'
import type { KeptOutput } from './kept-output.ts'
import type { About } from './known-process.ts'
import type { OomInquiry } from './oom-witness.ts'
import type { Offsets, OutputLog, StreamName } from './output-log.ts'
import type { ProcessConfig, TerminalSize } from './process.ts'
import type { ProcessDeposit } from './process-deposit.ts'
import type { SlabPool } from './slab-pool.ts'

/** Where the output of an earlier daemon ended, for clients that connect before `until` (performance.now()). */
export interface Reconnect {
  readonly offsets: Offsets
  readonly until: number
}

/** What `launch.ts` hands over; the process owns all descriptors in it. */
export interface Launched {
  readonly pid: number
  readonly config: ProcessConfig
  readonly tag: string | undefined
  readonly about: About
  /** Whether a later `Connect` begins with the retained output, not only with what is written from then on. */
  readonly replay: boolean
  /** One of many of its kind that the daemon starts by itself, no sign that the sandbox is in use. */
  readonly routine?: boolean
  /** Undefined: the program could not be run, and `status` says how the attempt ended. */
  readonly pidfd: number | undefined
  readonly status?: ExitStatus
  /** It was started by an earlier daemon: its exit status cannot be had. */
  readonly adopted?: boolean
  readonly output: OutputLog
  readonly pool: SlabPool
  readonly sources: readonly { readonly fd: number; readonly stream: StreamName }[]
  readonly input: InputQueue | undefined
  /** Master of the terminal, for its size; it is one of the descriptors in `sources`. */
  readonly terminal: number | undefined
  /** Size of the terminal when it was opened. */
  readonly size?: TerminalSize | undefined
  /** See `Stdio.heldSlave`. */
  readonly heldSlave?: number | undefined
  /** Finds out whether it was killed for lack of memory. */
  readonly oom?: OomInquiry
  /** The cgroup of this command alone, which the process removes. */
  readonly group?: LimitedGroup | undefined
  /** See `CommandLimits`. */
  readonly outputMax?: number | undefined
  /** Where its output is kept for the next daemon, also when the process itself is not; undefined: nowhere. */
  readonly kept?: KeptOutput | undefined
  /** Where it is kept for the next daemon; undefined: nowhere. */
  readonly deposit?: ProcessDeposit | undefined
  /** An earlier daemon started it, then (milliseconds since the epoch), and the keeper reports how it ends. */
  readonly inherited?: boolean
  readonly startedAt?: number
  /** An earlier daemon has reported its end: whatever comes is discarded. */
  readonly over?: boolean
  /** The end as that daemon has reported it. */
  readonly end?: End | undefined
  /** Clients of an earlier daemon that do not know their position get what came since then. */
  readonly reconnect?: Reconnect
}
