import { AppError } from '../errors.ts'
import { NEVER } from '../lib/never.ts'
import { raceAbort } from '../lib/race-abort.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { Log } from '../log.ts'
import type { ChildDeposit } from '../native/index.ts'
import { socketPeer } from '../native/packets.ts'
import { Channel } from './channel.ts'
import { Inbox } from './inbox.ts'
import { DAEMON_KEY, Keys, OUTPUT_KEY } from './keys.ts'
import { CANCEL, DROP, EXITED, encode, LEAVE, type Message, NEXT, PUT, TAKE, TRIM, UP } from './protocol.ts'

/** What an earlier daemon has deposited under one key. */
export interface Deposit {
  readonly key: number
  /** The process that it belongs to; 0: none. */
  readonly pid: number
  /** How that ended, as waitpid(2) has it; undefined: it runs. */
  readonly status: number | undefined
  /** Number that the depositing daemon set last. */
  readonly note: number
  /**
   * The content of the sealed memory that was put first, which is closed already: all of them together could be more
   * than may be open. Empty: it could not be taken whole. Of `OUTPUT_KEY` always empty.
   */
  readonly content: Buffer
  /**
   * The others; of `OUTPUT_KEY` its memory. The caller of `take` closes them. The keeper has its own until the key is
   * dropped.
   */
  readonly descriptors: readonly number[]
}

/** All that earlier daemons have left. */
export interface Taken {
  readonly deposits: Deposit[]
  /** Starts of a daemon by this keeper, with the present one. */
  readonly starts: number
  /** Daemons in a row before this one that ended before they listened. */
  readonly failures: number
  /** How the last one ended, as waitpid(2) has it. */
  readonly lastStatus: number
  /** This one was started by `Keeper.next`: unless it calls `up` within 5 s, the one before it is started again. */
  readonly trial: boolean
  /** This one was started again, because one that `Keeper.next` started did not call `up`. */
  readonly wentBack: boolean
}

/**
 * The parent process that keeps descriptors for the next daemon, should this one end unexpectedly
 * (`src/keeper/keeper.c`). Nothing rejects.
 */
export interface Keeper {
  /** There is one. If not, nothing is kept and every call does nothing. */
  readonly present: boolean
  /** It is process 1, whose end is the end of every process. */
  readonly isInit: boolean
  /** To be called once, before anything is put. */
  take(): Promise<Taken>
  /**
   * A key that nothing is kept under; undefined: all are taken, or there is no keeper. It is taken until it is dropped.
   */
  freeKey(): number | undefined
  /**
   * Keeps at most 8 descriptors under a key in the place of those that are there. The caller's own stay the caller's.
   * @param pid the process that they belong to; the keeper notes how it ends, if its parent does not report it. 0:
   * none.
   */
  put(key: number, pid: number, descriptors: readonly number[]): void
  /**
   * The same for a process that is about to start, by that process itself (`spawn`): so it is kept if its program runs,
   * and only then, whenever this daemon ends. Undefined: the keeper cannot, and `put` is to follow the start.
   * @param descriptors -1 is where the pidfd is put.
   */
  putByChild(key: number, descriptors: readonly number[]): Promise<ChildDeposit | undefined>
  /**
   * Calls back whenever descriptors that were put under the key are not kept, until it is dropped: what was there
   * before still is. A keeper that came with an older daemon has no reserve for `DAEMON_KEY`, so that is refused as well.
   */
  onRefused(key: number, use: () => void): void
  /** Keeps only the first `count` descriptors of those, and a note below 2^31. */
  trim(key: number, count: number, note: number): void
  /** Keeps nothing under that key any more. */
  drop(key: number): void
  /**
   * Sends what `work` has to say all at once when it returns or throws: each message that comes alone wakes the keeper,
   * which takes longer than all that it does.
   */
  together(work: () => void): void
  /** How a child of this daemon has ended, as waitpid(2) has it; to be sent before it is reaped. */
  exited(key: number, status: number): void
  /**
   * Calls back when a process that an earlier daemon started has ended, also if it has already: its parent is the
   * keeper.
   */
  onExited(key: number, use: (status: number) => void): void
  /**
   * Starts another daemon beside this one, with the same arguments, and resolves when it is ready to take over: it does
   * that at the end of this one, whatever ends it. One at a time. Rejects with AppError `failed_precondition` when it
   * cannot be started or ends before, and with the signal's reason, and then it is ended.
   * @param program absolute path; undefined: the program of this one.
   * @param words how many words of the command line are arguments.
   */
  next(program: string | undefined, words: number, signal: AbortSignal): Promise<void>
  /** The daemon listens. From now on it is started again whatever ends it. */
  up(): void
  /** The daemon will end, and is not to be started again. */
  leave(): void
  /** Stops listening to the keeper. Idempotent. */
  close(): void
}

const nothing: Taken = { deposits: [], starts: 1, failures: 0, lastStatus: 0, trial: false, wentBack: false }

/** Where there is none. */
const NO_KEEPER: Keeper = {
  present: false,
  isInit: false,
  take: async () => nothing,
  freeKey: () => undefined,
  put: () => {},
  putByChild: async () => undefined,
  onRefused: () => {},
  trim: () => {},
  drop: () => {},
  together: (work) => work(),
  exited: () => {},
  onExited: () => {},
  next: async () => {
    throw new AppError('unimplemented', 'there is no keeper to start another daemon')
  },
  up: () => {},
  leave: () => {},
  close: () => {},
}

/** A keeper that takes no messages for so long is stopped: no start waits for it. */
const SENT_WAIT_MS = 1_000

/** What one that was cancelled has to be gone in, which takes the keeper some milliseconds. */
const GONE_WAIT_MS = 2_000

/**
 * The keeper at the other end of a descriptor that this process was started with; none if that is not a socket of its
 * parent.
 * @param descriptor undefined: there is none.
 */
export function openKeeper(descriptor: number | undefined, log: Log): Keeper {
  if (descriptor === undefined || socketPeer(descriptor) !== process.ppid) return NO_KEEPER
  return keeperAt(descriptor, log)
}

function keeperAt(descriptor: number, log: Log): Keeper {
  const keys = new Keys([DAEMON_KEY, OUTPUT_KEY])
  const inbox = new Inbox(keys, nothing, log)
  const channel = new Channel(
    descriptor,
    (received) => inbox.handle(received),
    (reason) => inbox.lost(reason),
  )
  const send = (type: number, fields: Partial<Message> = {}, descriptors: readonly number[] = [], path?: string) =>
    channel.send({ type, pid: 0, key: 0, status: 0, value: 0, ...fields }, descriptors, path)
  return {
    present: true,
    isInit: process.ppid === 1,
    take: () => {
      send(TAKE)
      return inbox.taken.promise
    },
    freeKey: () => keys.useFree(),
    put: (key, pid, descriptors) => send(PUT, { key, pid }, descriptors),
    putByChild: async (key, descriptors) => {
      if (!inbox.hearsChildren || !(await isSent(channel))) return undefined
      return { socket: descriptor, message: encode({ type: PUT, pid: 0, key, status: 0, value: 0 }), descriptors }
    },
    onRefused: (key, use) => inbox.onRefused(key, use),
    trim: (key, count, note) => send(TRIM, { key, status: count, value: note }),
    drop: (key) => {
      send(DROP, { key })
      inbox.forget(key)
      if (key > OUTPUT_KEY) keys.release(key)
    },
    together: (work) => channel.together(work),
    exited: (key, status) => send(EXITED, { key, status }),
    onExited: (key, use) => inbox.onExited(key, use),
    next: async (program, words, signal) => {
      await othersGone(inbox, signal)
      const ready = inbox.awaitNext()
      send(NEXT, { value: words }, [], program)
      try {
        await raceAbort(ready, signal)
      } catch (error) {
        // Also one that is said to have ended: what that was said of may have been another.
        send(CANCEL)
        throw error
      }
    },
    up: () => send(UP),
    leave: () => send(LEAVE),
    close: () => channel.close(),
  }
}

/** Waits until no other daemon is left that was started beside this one. Rejects with the signal's reason. */
async function othersGone(inbox: Inbox, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  if (inbox.gone !== undefined) await withTimeout(GONE_WAIT_MS, inbox.gone, signal)
  signal.throwIfAborted()
}

/** Whether the keeper has all that was sent so far: what is said of an earlier use of a key must not come later. */
async function isSent(channel: Channel): Promise<boolean> {
  const sent = channel.sent()?.then(() => true)
  return sent === undefined || (await withTimeout(SENT_WAIT_MS, sent, NEVER)) === true
}
