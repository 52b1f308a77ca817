import { AppError } from '../errors.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { End } from '../process/exit-status.ts'
import { type OomCounter, type OomOptions, oomCounterOf } from '../process/oom-counter.ts'
import type { Cause, FailedAttempt } from './cause.ts'
import { type Command, type CommandDeps, runCommand } from './command.ts'
import { type EarlierRunOptions, keepRecord } from './earlier-run.ts'
import { repeatLive } from './live-loop.ts'
import { attempt, type ProbeOptions, type Readiness, untilReady } from './ready-loop.ts'
import { type Event, isGoodEnd, type Rules } from './state-machine.ts'
import { stopCommand } from './stop.ts'

export interface RunOptions {
  readonly startCommand: string | undefined
  /** Tag of the start command in `List`. */
  readonly tag: string
  /** The start command that an earlier daemon started, instead of a new one. */
  readonly adopted: Command | undefined
  /** Where it is recorded for the next daemon; undefined: there is no start command. */
  readonly leftover: EarlierRunOptions | undefined
  /** Undefined: it is ready once it is started. */
  readonly ready: ProbeOptions | undefined
  /** The ready command was configured, not made up. */
  readonly isReadyConfigured: boolean
  /** What is repeated after readiness; undefined: nothing. */
  readonly live: ProbeOptions | undefined
  readonly commands: CommandDeps
  readonly rules: Rules
  readonly oom: OomOptions
  /** The start command has its pid. */
  readonly onStarted: () => void
  /** What happens, as it happens; nothing comes after `abandon`. */
  readonly onEvent: (event: Event) => void
}

/**
 * A ready command that is repeated may take this many times as long as when it succeeded first, as it is one that
 * waits.
 */
const SLOWER = 3

/** Exit code of a shell whose child was killed by SIGKILL. */
const CHILD_KILLED = 137

/** One life of the start command, with its ready command beside it. */
export class Run {
  readonly #options: RunOptions
  /** Aborts when its results are not needed any more; the start command itself is not touched by that. */
  readonly #abandoned = new AbortController()
  #command: Command | undefined
  #alive = false
  #ready = false
  readonly #started: Promise<void>
  #stopped: Promise<void> | undefined

  /** Starts both at once; the ready command waits until the start command runs. */
  constructor(options: RunOptions) {
    this.#options = options
    this.#started = this.#start()
  }

  /** Pid of the start command, while it runs. */
  get pid(): number | undefined {
    return this.#alive ? this.#command?.process.pid : undefined
  }

  /** Ends the ready command and emits nothing any more. Idempotent. */
  abandon(): void {
    this.#abandoned.abort(new AppError('canceled', 'the run is over'))
  }

  /**
   * Abandons the run and ends the start command's session and all that it started (`stopCommand`), also what the
   * command left behind when it ended by itself. Never rejects; a second call joins the first.
   */
  stop(): Promise<void> {
    this.abandon()
    this.#stopped ??= this.#started.then(async () => {
      if (this.#command !== undefined) await stopCommand(this.#command, this.#options.rules.timing.stopGrace)
    })
    return this.#stopped
  }

  /**
   * Sends SIGTERM to the start command's session, and resolves when it has ended or the signal aborts. Never rejects.
   */
  async terminate(signal: AbortSignal): Promise<void> {
    this.abandon()
    if (!this.#alive || this.#command === undefined) return
    await this.#command.process.signal('SIGTERM', signal).others
    await raceAbort(this.#command.ended, signal).catch(() => {})
  }

  #emit(event: Event): void {
    if (!this.#abandoned.signal.aborted) this.#options.onEvent(event)
  }

  async #start(): Promise<void> {
    const { startCommand: script, oom } = this.#options
    if (script !== undefined) {
      try {
        this.#command = await this.#startCommand(script)
      } catch (error) {
        this.#emit({ kind: 'ended', cause: notStarted(error), stillReady: false })
        return
      }
      this.#alive = true
      if (!this.#abandoned.signal.aborted) this.#options.onStarted()
      void this.#follow(this.#command, await oomCounterOf(this.#command.process.pid, oom))
    }
    void this.#awaitReady()
  }

  async #startCommand(script: string): Promise<Command> {
    const { adopted, tag, commands, leftover } = this.#options
    const command = adopted ?? (await runCommand({ script, tag, interactive: true, routine: false }, commands))
    // The next daemon finds what this one has taken over as well.
    if (leftover !== undefined) void keepRecord(leftover, command)
    return command
  }

  async #awaitReady(): Promise<void> {
    const { signal } = this.#abandoned
    try {
      const onFailed = (attempt: FailedAttempt) => this.#emit({ kind: 'attempt failed', attempt })
      const { ready, rules } = this.#options
      const outcome: Readiness =
        ready === undefined
          ? { ready: true, took: 0 }
          : await untilReady({ ...ready, timing: rules.timing }, signal, onFailed)
      this.#ready = outcome.ready
      this.#emit(outcome.ready ? { kind: 'ready' } : { kind: 'not ready', attempt: outcome.attempt })
      if (outcome.ready) await this.#watchLive(outcome.took)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** @param took milliseconds that the ready command took to succeed. */
  async #watchLive(took: number): Promise<void> {
    const { live, rules } = this.#options
    const { liveInterval: interval, liveTimeout } = rules.timing
    if (live === undefined || interval === 0) return
    const timeout = Math.round(live.probe === 'ready' ? Math.max(liveTimeout, took * SLOWER) : liveTimeout)
    await repeatLive({ ...live, interval, timeout }, this.#abandoned.signal, (attempt) =>
      this.#emit(attempt === undefined ? { kind: 'ready' } : { kind: 'attempt failed', attempt }),
    )
  }

  async #follow(command: Command, killed: OomCounter): Promise<void> {
    const before = await killed.count()
    const end = await command.ended
    const after = await killed.count()
    this.#alive = false
    void command.group?.remove()
    const outOfMemory = after !== undefined && before !== undefined && after > before
    const cause = causeOf(end, outOfMemory, command.output())
    this.#emit({ kind: 'ended', cause, stillReady: await this.#isStillReady(cause) })
  }

  /** A command that went into the background exits well, and what it left there may be what is to be ready. */
  async #isStillReady(cause: Cause): Promise<boolean> {
    const { ready, isReadyConfigured, rules } = this.#options
    const { signal } = this.#abandoned
    if (!this.#ready || !isReadyConfigured || ready === undefined || signal.aborted || !isGoodEnd(cause, rules))
      return false
    return attempt({ ...ready, timeout: rules.timing.attemptTimeout }, signal).then(
      (failed) => failed === undefined,
      () => false,
    )
  }
}

function notStarted(error: unknown): Cause {
  if (error instanceof AppError) return { kind: 'not started', error: error.kind, message: error.message }
  return { kind: 'not started', error: 'internal', message: String(error) }
}

function causeOf(end: End, outOfMemory: boolean, output: Buffer): Cause {
  if (outOfMemory && (end.status === 'signal: killed' || end.exitCode === CHILD_KILLED))
    return { kind: 'out of memory', output }
  if (end.unknown) return { kind: 'unknown end', output }
  if (end.exited) return { kind: 'exit', code: end.exitCode, output }
  return { kind: 'signal', signal: end.status.replace(/^signal: /, ''), output }
}
