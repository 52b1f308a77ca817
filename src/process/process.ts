import { fstatSync } from 'node:fs'
import { AppError } from '../errors.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import { close, type Reaped, resizeTerminal } from '../native/index.ts'
import { type Circumstances, endFacts, type KillReason, plainFacts, usedBy } from './end-facts.ts'
import { type End, type EndFacts, endOf, type KnownEnd, timeOfEnd, type Usage } from './exit-status.ts'
import { onExit } from './exit-watch.ts'
import { checkHasStdin, checkInputKind, stdinClosed } from './input-kind.ts'
import type { InputCall } from './input-queue.ts'
import type { KeptKill } from './kept-account.ts'
import type { About } from './known-process.ts'
import type { Launched, Reconnect } from './launched.ts'
import { type OutputCut, sinkFor } from './output-cut.ts'
import type { OutputLog } from './output-log.ts'
import { OutputSource, openSources, orClose } from './output-source.ts'
import { QuietWait } from './quiet-wait.ts'
import { type LiveFigures, SeenUsage } from './seen-usage.ts'
import { type Sent, type SessionLeader, type SignalName, signalSession } from './terminate.ts'

/** What was asked for, as `List` returns it. */
export interface ProcessConfig {
  readonly cmd: string
  readonly args: readonly string[]
  readonly envs: Readonly<Record<string, string>>
  readonly cwd: string | undefined
}

/** A terminal's size in characters; truncated to 16 bits by the kernel's interface. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/**
 * One started command. Its life: running, exited (the leader is gone, output may still come), ended (reported). It ends
 * by itself only; a client that leaves changes nothing.
 */
export class RunningProcess {
  readonly pid: number
  readonly config: ProcessConfig
  readonly tag: string | undefined
  readonly about: About
  readonly output: OutputLog
  /**
   * Resolves, never rejects, when the process has ended and all its output is in the log, just before the log closes.
   */
  readonly ended: Promise<End>
  /** Called when the size of its terminal was set; set by the one that keeps its screen. */
  onResize: (size: TerminalSize) => void = () => {}
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Called when its exit is not kept any more; set by the one that must hear of it. */
  onForget: () => void = () => {}
  /** When it wrote last, on the clock of performance.now(); undefined: never. */
  lastOutput: number | undefined
  /** What was seen of its CPU time and memory (`SessionUsage`). */
  readonly seen = new SeenUsage()
  /** When a client wrote to it last, on the clock of performance.now(); undefined: never. */
  lastInput: number | undefined
  /** Leader of its session. */
  readonly leader: SessionLeader
  readonly #launched: Launched
  readonly #sources: readonly OutputSource[]
  readonly #cuts: OutputCut[] = []
  readonly #settle: (end: End) => void
  #status: KnownEnd | undefined
  #facts: EndFacts | Promise<EndFacts> | undefined
  #end: End | undefined
  #killed = false
  #reason: KillReason | undefined
  #size: TerminalSize
  #over = false
  readonly #quiet = new QuietWait({ onQuiet: () => this.#silent(), onLimit: () => this.#drainAndFinish() })

  /**
   * Throws with `code` where output or end cannot be waited for; the descriptors of `sources` are closed then.
   * @param beforeEnd runs when the end is known, before any reader can see it: the registry takes the process out.
   */
  constructor(launched: Launched, beforeEnd: (process: RunningProcess, end: End) => void) {
    this.#launched = launched
    this.#size = launched.size ?? { columns: 0, rows: 0 }
    this.leader = { pid: launched.pid, pidfd: () => (this.#status === undefined ? launched.pidfd : undefined) }
    this.pid = launched.pid
    this.startedAt = launched.startedAt ?? Date.now()
    this.config = launched.config
    this.tag = launched.tag
    this.about = launched.about
    this.output = launched.output
    const { promise, resolve } = Promise.withResolvers<End>()
    this.ended = promise
    this.#settle = (end) => {
      beforeEnd(this, end)
      resolve(end)
    }
    const handlers = { onData: () => this.#written(), onEnd: () => this.#pumpEnded() }
    const { output, pool, kept } = launched
    this.#sources = openSources(launched.sources, ({ fd, stream }) => {
      const log = sinkFor(launched, stream, this.#cuts)
      return new OutputSource({ fd, stream, log, pool, kept, ...handlers })
    })
    output.onFlow = () => {
      for (const source of this.#sources) source.flow()
    }
    orClose(this.#sources, () => onExit(launched, (status, reaped) => this.#exited(status, reaped)))
  }

  /** How it ended, or undefined while it lives. */
  get end(): End | undefined {
    return this.#end
  }

  /** See `Launched.replay`. */
  get replay(): boolean {
    return this.#launched.replay
  }

  /** See `Launched.reconnect`. */
  get reconnect(): Reconnect | undefined {
    return this.#launched.reconnect
  }

  /** See `Launched.routine`. */
  get routine(): boolean {
    return this.#launched.routine === true
  }

  /** Size of its terminal, as it was set last through the daemon. */
  get size(): TerminalSize {
    return this.#size
  }

  /** Whether it runs in a terminal. */
  get hasTerminal(): boolean {
    return this.#launched.terminal !== undefined
  }

  /**
   * Writes to its pipe or terminal, whole and in order of the calls; errors as contract D50, N2; `offset` as
   * `InputQueue.write`.
   */
  async write(kind: 'stdin' | 'pty', bytes: Uint8Array, call: InputCall, offset?: number): Promise<void> {
    checkInputKind(kind, this.hasTerminal)
    const { input } = this.#launched
    if (input === undefined) throw stdinClosed()
    this.lastInput = performance.now()
    await input.write(bytes, call, offset)
  }

  /**
   * Closes its standard input once everything queued is written; `failed_precondition` for a terminal (contract D55,
   * N2).
   */
  async closeStdin(signal: AbortSignal): Promise<void> {
    checkHasStdin(this.hasTerminal)
    await this.#launched.input?.close(signal)
  }

  /** Changes the size of its terminal; `internal` without one (contract D63). After the terminal is gone: nothing. */
  resize(size: TerminalSize): void {
    const { terminal } = this.#launched
    if (terminal === undefined) throw new AppError('internal', 'error resizing tty: tty not assigned to process')
    if (!this.#sources.some((source) => !source.ended)) return
    resizeTerminal(terminal, size.columns, size.rows)
    this.#size = size
    this.#launched.deposit?.resized(size)
    this.onResize(size)
  }

  /**
   * Signals its session (`signalSession`), and does not wait for its end. A process that has exited meanwhile is no
   * error (contract D58).
   * @param reason of the daemon itself, which is the cause of the end then.
   * @param scope leader: only the leader is signalled.
   */
  signal(signal: SignalName, abort: AbortSignal, reason?: KillReason, scope: KeptKill['scope'] = 'session'): Sent {
    const keep = () => this.keepKill({ at: monotonicNow(), scope, reason })
    const sent = signalSession(this.leader, signal, { abort, scope, keep })
    // An interrupt is no request to end.
    if (sent.refused === undefined && signal !== 'SIGINT') {
      this.#killed = true
      if (this.#status === undefined) this.#reason ??= reason
    }
    if (this.#status !== undefined) this.#settleOutput()
    return sent
  }

  /** See `ProcessDeposit.killing`. */
  keepKill(kill: KeptKill): () => void {
    return this.#launched.deposit?.killing(kill) ?? (() => {})
  }

  /** It has a cgroup of its own, which says what it takes. */
  get hasOwnGroup(): boolean {
    return this.#launched.group !== undefined
  }

  /**
   * What it has taken so far; CPU time and memory without a cgroup of its own as they were seen last. Never rejects.
   */
  async usage(): Promise<Omit<Usage, 'startedAt' | 'endedAt'> & LiveFigures> {
    const { group, input } = this.#launched
    if (group !== undefined) this.seen.see(await group.usage())
    const { stdout, stderr, pty } = this.output.range.produced
    const bytes = { bytesIn: input?.written ?? 0, bytesOut: stdout + stderr + pty }
    return { ...this.seen.figures, ...bytes }
  }

  /** The inodes of the pipes that it writes to, by which they can be found again; undefined for one that is closed. */
  pipeInodes(): readonly (bigint | undefined)[] {
    return this.#launched.sources.map(({ fd }, index) =>
      this.#sources[index]?.ended === false ? fstatSync(fd, { bigint: true }).ino : undefined,
    )
  }

  /** Reports the end now, whatever output may still come: another process has got this pid. */
  supersede(): void {
    if (this.#status === undefined) return
    this.#finish()
    this.#report(plainFacts(this.#circumstances(this.#status, undefined)))
  }

  #exited(status: KnownEnd, reaped: Reaped | undefined): void {
    this.#status = status
    this.#launched.input?.destroy()
    this.#facts = endFacts(this.#circumstances(status, reaped))
    this.#launched.oom?.end()
    if (this.#launched.heldSlave !== undefined) close(this.#launched.heldSlave)
    if (this.#launched.over === true) this.#finish()
    else this.#settleOutput()
  }

  #circumstances(status: KnownEnd, reaped: Reaped | undefined): Circumstances {
    const { pid, group, oom, input } = this.#launched
    const times = { startedAt: this.startedAt, ...timeOfEnd() }
    const usage = { ...times, ...usedBy(reaped), bytesIn: input?.written ?? 0, bytesOut: 0 }
    return { pid, status, signalled: this.#killed, reason: this.#reason, group, oom, usage }
  }

  /** After the exit: ends at once when all output is in, else waits for the rest or for silence. */
  #settleOutput(): void {
    if (this.#over) return
    if (this.#killed || this.#drained) {
      this.#drainAndFinish()
    } else {
      this.#quiet.begin()
    }
  }

  /** What the leader wrote is in the pipes by now, also if the log has no room for it. */
  #drainAndFinish(): void {
    for (const source of this.#sources) source.drain()
    this.#finish()
  }

  #written(): void {
    this.lastOutput = performance.now()
    this.#quiet.written()
  }

  get #drained(): boolean {
    return this.#sources.every((source) => source.ended)
  }

  #pumpEnded(): void {
    if (this.#status === undefined || !this.#drained) return
    if (this.#end !== undefined) this.#launched.deposit?.finished(true, this.#end)
    else this.#finish()
  }

  #silent(): void {
    // A full log is no silence: the readers have yet to make room.
    if (this.output.full) this.#quiet.written()
    else this.#finish()
  }

  #finish(): void {
    if (this.#over || this.#status === undefined) return
    this.#over = true
    this.#quiet.cancel()
    for (const source of this.#sources) if (!source.ended) source.discard()
    for (const cut of this.#cuts) cut.finish()
    if (this.#facts instanceof Promise) void this.#facts.then((facts) => this.#report(facts))
    else if (this.#facts !== undefined) this.#report(this.#facts)
  }

  #report(facts: EndFacts): void {
    if (this.#end !== undefined || this.#status === undefined) return
    const { stdout, stderr, pty } = this.output.range.produced
    const usage = this.seen.larger({ ...facts.usage, bytesOut: stdout + stderr + pty })
    this.#end = this.#launched.end ?? endOf(this.#status, { ...facts, usage })
    this.#launched.group?.removeOnceEmpty()
    this.#launched.deposit?.finished(this.#drained, this.#end)
    this.#settle(this.#end)
    this.output.close()
  }
}
