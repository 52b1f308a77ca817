import { AppError } from '../errors.ts'
import { LinkedList, type Place } from '../lib/linked-list.ts'
import { type End, leftOf } from './exit-status.ts'
import type { KnownProcess } from './known-process.ts'
import type { RunningProcess } from './process.ts'
import { StartKeys } from './start-keys.ts'

/** Which process a call means: by pid, or by the tag of its start. */
export type Selector = { readonly pid: number } | { readonly tag: string }

/** A process that has ended, kept for a late Connect, with the end of its output. */
interface Retained extends KnownProcess, Pick<RunningProcess, 'replay' | 'reconnect' | 'ended' | 'onForget'> {
  readonly until: number
}

/** How long an exit is kept (contract D34), while there are no more than `MAX_RETAINED`. */
const RETAIN_MS = 600_000

/** Exits kept, a small object each. Beyond it the oldest are dropped. */
export const MAX_RETAINED = 1000

/** UTF-16 units of a tag by which an exit can be found; they may be a thousand times 8 MiB otherwise. */
const MAX_RETAINED_TAG = 4096

/** Live processes at a time. The kernel's own limit (pid_max, open files) is met before on an ordinary machine. */
export const MAX_PROCESSES = 16_384

/** The live processes and the recent exits. Tags need not be unique: the newest live one is meant (contract D46). */
export class Registry {
  /** The starts that have a key. */
  readonly keys = new StartKeys()
  /**
   * Called with each process that starts, and with what is kept of each that ends, before any client can see the end.
   */
  readonly watchers = new Set<(change: 'start' | 'end', process: KnownProcess) => void>()
  /** In order of start. */
  readonly #live = new Map<number, RunningProcess>()
  /** Those that have a tag, in order of start. */
  readonly #tagged = new Map<string, LinkedList<RunningProcess>>()
  readonly #places = new Map<RunningProcess, Place<RunningProcess>>()
  readonly #ended: { lastOutput: number | undefined; lastInput: number | undefined } = {
    lastOutput: undefined,
    lastInput: undefined,
  }
  /** By pid, in order of exit. */
  readonly #retained = new Map<number, Retained>()
  readonly #keepMs: number
  #timer: NodeJS.Timeout | undefined

  /** @param keepMs milliseconds that an exit is kept. */
  constructor(keepMs = RETAIN_MS) {
    this.#keepMs = keepMs
  }

  /**
   * Takes in a process that was just started, before any client receives its pid. Older entries of its pid or tag go.
   */
  add(process: RunningProcess): void {
    const former = this.#live.get(process.pid)
    if (former !== undefined) this.#untag(former)
    former?.supersede()
    this.#live.set(process.pid, process)
    this.#tag(process)
    this.#replace(process)
    for (const watch of this.watchers) watch('start', process)
  }

  /** Moves a process to the recent exits; must come before any reader can see its end (contract D37). */
  retire(process: RunningProcess, end: End): void {
    if (this.#live.get(process.pid) !== process) {
      forget(process)
      for (const watch of this.watchers) watch('end', process)
      return
    }
    this.#live.delete(process.pid)
    this.#untag(process)
    this.#note(process)
    if (this.#retained.size >= MAX_RETAINED) this.#forgetOldest()
    const { pid, about, startedAt, output, replay, reconnect, onForget } = process
    const tag = (process.tag?.length ?? 0) <= MAX_RETAINED_TAG ? process.tag : undefined
    const left = leftOf(this.#keepMs, end)
    const until = performance.now() + left
    const kept = {
      pid,
      tag,
      about,
      startedAt,
      output,
      replay,
      reconnect,
      onForget,
      end,
      ended: Promise.resolve(end),
      until,
    }
    this.#retained.set(pid, kept)
    for (const watch of this.watchers) watch('end', kept)
    this.#timer ??= setTimeout(() => this.#expire(), left).unref()
  }

  /**
   * When those that have ended wrote, and were written to, last, on the clock of performance.now(); undefined: never.
   * Without routine ones.
   */
  get ended(): { readonly lastOutput: number | undefined; readonly lastInput: number | undefined } {
    return this.#ended
  }

  /** All exits that are kept, oldest first. */
  exits(): readonly KnownProcess[] {
    return [...this.#retained.values()]
  }

  /** All live processes, oldest first. */
  list(): RunningProcess[] {
    return [...this.#live.values()]
  }

  /** Number of live processes. */
  get size(): number {
    return this.#live.size
  }

  /** The live process, or an AppError `not_found`. */
  find(selector: Selector): RunningProcess {
    return this.findLive(selector) ?? notFound(selector)
  }

  /** The live process, a recent exit, or an AppError `not_found`. */
  findOrRetained(selector: Selector): RunningProcess | Retained {
    return this.findLive(selector) ?? this.#findRetained(selector) ?? notFound(selector)
  }

  /** The live process; undefined: there is none. */
  findLive(selector: Selector): RunningProcess | undefined {
    if ('pid' in selector) return this.#live.get(selector.pid)
    return this.#tagged.get(selector.tag)?.last
  }

  #findRetained(selector: Selector): Retained | undefined {
    if ('pid' in selector) return this.#retained.get(selector.pid)
    return [...this.#retained.values()].findLast(({ tag }) => tag === selector.tag)
  }

  /** Forgets the exits whose pid or tag a new process has. */
  #replace({ pid, tag }: RunningProcess): void {
    const same = this.#retained.get(pid)
    if (same !== undefined) this.#forget(same)
    if (tag === undefined) return
    for (const old of this.#retained.values()) if (old.tag === tag) this.#forget(old)
  }

  #tag(process: RunningProcess): void {
    if (process.tag === undefined) return
    const same = this.#tagged.get(process.tag) ?? new LinkedList<RunningProcess>()
    this.#tagged.set(process.tag, same)
    this.#places.set(process, same.push(process))
  }

  #untag(process: RunningProcess): void {
    const place = this.#places.get(process)
    if (process.tag === undefined || place === undefined) return
    this.#places.delete(process)
    const same = this.#tagged.get(process.tag)
    same?.delete(place)
    if (same?.size === 0) this.#tagged.delete(process.tag)
  }

  #note({ routine, lastOutput, lastInput }: RunningProcess): void {
    if (routine) return
    this.#ended.lastOutput = later(this.#ended.lastOutput, lastOutput)
    this.#ended.lastInput = later(this.#ended.lastInput, lastInput)
  }

  #expire(): void {
    const now = performance.now()
    for (const old of this.#retained.values()) {
      if (old.until > now) break
      this.#forget(old)
    }
    const [oldest] = this.#retained.values()
    const wait = oldest === undefined ? undefined : Math.ceil(oldest.until - now)
    this.#timer = wait === undefined ? undefined : setTimeout(() => this.#expire(), wait).unref()
  }

  #forgetOldest(): void {
    const [oldest] = this.#retained.values()
    if (oldest !== undefined) this.#forget(oldest)
  }

  #forget(old: Retained): void {
    this.#retained.delete(old.pid)
    forget(old)
  }
}

function later(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || (other !== undefined && other > one) ? other : one
}

function forget({ output, onForget }: Pick<Retained, 'output' | 'onForget'>): void {
  output.discard()
  onForget()
}

function notFound(selector: Selector): never {
  const which = 'pid' in selector ? `pid ${selector.pid}` : `tag ${selector.tag}`
  throw new AppError('not_found', `process with ${which} not found`)
}
