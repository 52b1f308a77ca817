import { START } from '../config/supervisor.ts'
import { AppError } from '../errors.ts'
import { longTimeout } from '../lib/long-timeout.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { Log } from '../log.ts'
import { type Cause, titleOf } from './cause.ts'
import type { Command } from './command.ts'
import { takeOverEarlierRun } from './earlier-run.ts'
import { NO_RESTARTS } from './restarts.ts'
import { Run, type RunOptions } from './run.ts'
import { type Event, type State, type StateMachine, transition } from './state-machine.ts'
import { causeOfState, outputOf, reasonOf, type Status } from './status.ts'
import { StatusFeed, type StatusSubscription } from './status-feed.ts'
import { stopCommand } from './stop.ts'

export interface SupervisorOptions extends Omit<RunOptions, 'adopted' | 'onStarted' | 'onEvent'> {
  readonly service: string
  /** Neither a start nor a ready command was given: ready at once and for good. */
  readonly idle: boolean
  /** Resolves when the commands may start: at once, after the first `/init`, after other services. */
  readonly mayStart: Promise<void>
  /** What is waited for until then, for people. */
  readonly waitsFor: () => string
  /** What of its state is kept for the next daemon, and what an earlier one has kept; undefined: nothing. */
  readonly kept: { readonly read: () => State | undefined; readonly write: (state: State) => void } | undefined
  /** Receives every status. */
  readonly onChange: (status: Status) => void
  readonly log: Log
}

/** How long a stop can be waited for without a word; the wait is looked at anew then. */
const MAX_STOP_MS = 60_000

/**
 * Keeps the start command of one service as it is wanted: drives the state machine of `state-machine.ts` with what
 * happens, and does what each state asks for. There is one run at a time.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #statusFeed = new StatusFeed()
  #machine: StateMachine
  #run: Run | undefined
  /** What an earlier daemon started, until there is a run of it. */
  #adopted: Command | undefined
  /** Aborts when the present state is left. */
  #left = new AbortController()
  #sequence = 0
  #since = Date.now()
  #restarts = 0
  #closed = false
  readonly #firstReady = Promise.withResolvers<void>()

  /** Starts nothing before `begin`. */
  constructor(options: SupervisorOptions) {
    this.#options = options
    const state: State = options.idle ? { name: 'ready', since: performance.now() } : { name: 'waiting' }
    this.#machine = { state, restarts: NO_RESTARTS }
    if (options.idle) this.#firstReady.resolve()
  }

  get service(): string {
    return this.#options.service
  }

  /** Whether the sandbox is ready only while it is: a command checks whether this is so. */
  get counts(): boolean {
    const { ready, live } = this.#options
    return ready !== undefined || live !== undefined
  }

  /** Resolves when it is ready for the first time. */
  get firstReady(): Promise<void> {
    return this.#firstReady.promise
  }

  /** From now on the commands start as soon as they may. */
  begin(): void {
    if (this.#options.idle) return
    const { signal } = this.#left
    this.#comeUp(signal).then(
      (before) => this.#goOn(before),
      (error) => {
        if (!signal.aborted) throw error
      },
    )
  }

  /**
   * Resolves when the commands may start, or at once for a start command that lives already or is not to be started:
   * with the state that an earlier daemon has left it in.
   */
  async #comeUp(signal: AbortSignal): Promise<State | undefined> {
    const { leftover, mayStart, kept } = this.#options
    const before = kept?.read()
    if (leftover !== undefined) this.#adopted = await takeOverEarlierRun(leftover, signal)
    if (before?.name === 'stopping' && this.#adopted !== undefined) {
      await stopCommand(this.#adopted, this.#options.rules.timing.stopGrace)
      this.#adopted = undefined
    }
    if (this.#adopted === undefined && before === undefined) await raceAbort(mayStart, signal)
    signal.throwIfAborted()
    return before
  }

  #goOn(before: State | undefined): void {
    if (this.#adopted === undefined && before !== undefined) {
      const cause: Cause = { kind: 'requested' }
      const state: State = before.name === 'stopping' ? { name: 'stopped', cause } : before
      this.#machine = { ...this.#machine, state }
      this.#left.abort()
      this.#left = new AbortController()
      this.#changed()
      return
    }
    this.#happened({ kind: 'begin' })
  }

  /** How it is at the moment. */
  get status(): Status {
    const { state } = this.#machine
    return {
      service: this.#options.service,
      state: state.name,
      sequence: this.#sequence,
      since: this.#since,
      reason: this.#reasonOf(state),
      cause: causeOfState(state),
      pid: this.#run?.pid,
      restarts: this.#restarts,
      nextStart: state.name === 'backing off' ? this.#since + state.delay : undefined,
      output: outputOf(state),
    }
  }

  /** Every status from now on; the caller closes the watcher. */
  watch(): StatusSubscription {
    return this.#statusFeed.subscribe()
  }

  /**
   * Starts the start command again. Throws `failed_precondition` when none is configured, or it runs or is about to.
   */
  start(): void {
    this.#mustHaveCommand()
    const { state } = this.#machine
    const startable = state.name === 'backing off' || state.name === 'stopped' || state.name === 'failed'
    if (!startable) throw new AppError('failed_precondition', `the ${titleOf(this.service)} is ${state.name}`)
    if (this.#run?.pid !== undefined)
      throw new AppError('failed_precondition', `the ${titleOf(this.service)} still runs`)
    this.#happened({ kind: 'begin' })
  }

  /**
   * Ends the start command and resolves when it is over; a second call joins the first. Rejects with the signal's
   * reason.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#mustHaveCommand()
    const watcher = this.watch()
    try {
      this.#happened({ kind: 'stop' })
      while (this.#machine.state.name === 'stopping') await watcher.next(MAX_STOP_MS, signal)
    } finally {
      watcher.close()
    }
  }

  /**
   * Starts nothing any more and ends an attempt of the ready command; the start command is left as it is. Idempotent.
   */
  close(): void {
    this.#closed = true
    this.#left.abort()
    this.#run?.abandon()
  }

  /** `close`, and SIGTERM to the start command: resolves when it has ended or the signal aborts. */
  async terminate(signal: AbortSignal): Promise<void> {
    this.close()
    await this.#run?.terminate(signal)
  }

  #mustHaveCommand(): void {
    if (this.#options.startCommand === undefined)
      throw new AppError('failed_precondition', 'no start command is configured')
  }

  #reasonOf(state: State): string {
    const { service, rules, waitsFor } = this.#options
    return reasonOf(state, { service, timing: rules.timing, waitsFor: waitsFor() })
  }

  #happened(event: Event): void {
    if (this.#closed) return
    const { rules } = this.#options
    const { state: before } = this.#machine
    this.#machine = transition(this.#machine, event, { ...rules, now: performance.now(), random: Math.random() })
    const { state } = this.#machine
    if (state.name !== before.name) {
      this.#since = Date.now()
      this.#left.abort()
      this.#left = new AbortController()
      this.#enter(state, this.#left.signal)
      logState(this.#options.log, this.status)
      if (state.name === 'ready') this.#firstReady.resolve()
    } else if (this.#reasonOf(state) === this.#reasonOf(before)) return
    this.#changed()
  }

  /** Does what the state asks for. What it starts emits events, and ends in silence once `left` aborts. */
  #enter(state: State, left: AbortSignal): void {
    switch (state.name) {
      case 'starting':
        void this.#launch(left)
        return
      case 'backing off':
        // What the command left behind may hold its port.
        void this.#run?.stop()
        this.#restartAfter(state.delay, left)
        return
      case 'stopping':
        void this.#end(left)
        return
      case 'failed':
      case 'stopped':
        this.#run?.abandon()
        return
      case 'waiting':
      case 'ready':
      case 'degraded':
        return
    }
  }

  async #launch(left: AbortSignal): Promise<void> {
    await this.#run?.stop()
    if (left.aborted) return
    this.#run = new Run({
      ...this.#options,
      adopted: this.#adopted,
      onStarted: () => this.#changed(),
      onEvent: (event) => this.#happened(event),
    })
    this.#adopted = undefined
  }

  #restartAfter(delay: number, left: AbortSignal): void {
    const cancel = longTimeout(delay, () => {
      this.#restarts++
      this.#happened({ kind: 'begin' })
    })
    left.addEventListener('abort', cancel, { once: true })
  }

  async #end(left: AbortSignal): Promise<void> {
    await this.#run?.stop()
    if (!left.aborted) this.#happened({ kind: 'gone' })
  }

  #changed(): void {
    this.#sequence++
    this.#options.kept?.write(this.#machine.state)
    this.#statusFeed.publish(this.status)
    this.#options.onChange(this.status)
  }
}

/**
 * One line for each change: how, not what, as a command may contain a secret. A command's end is logged without
 * -verbose, too.
 */
function logState(log: Log, { service, state, cause, restarts }: Status): void {
  const level = cause === undefined || cause.kind === 'requested' ? 'info' : 'warn'
  const fields = {
    state,
    cause: cause?.kind,
    exit_code: cause?.kind === 'exit' ? cause.code : undefined,
    signal: cause?.kind === 'signal' ? cause.signal : undefined,
    error: cause?.kind === 'not started' ? cause.error : undefined,
    restarts,
  }
  log[level](service === START ? fields : { service, ...fields }, `${titleOf(service)}: ${state}`)
}
