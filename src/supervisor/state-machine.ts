import type { RestartMode } from '../config/supervisor.ts'
import type { Cause, FailedAttempt } from './cause.ts'
import { afterHealth, type Moment, NO_RESTARTS, planRestart, type Restarts } from './restarts.ts'
import type { Timing } from './timing.ts'

/**
 * Where the start command stands.
 *
 * ```
 *  waiting ──begin──▶ starting ──ready──▶ ready ◀──▶ degraded
 *     │                │  ▲  │              │ │
 *     │           stop │  │  └─ failure ────┤ └─ exit 0 ──▶ stopped
 *     │                │  │ begin  │        │
 *     │                │  │        ▼        │ stop
 *     │                │  └── backing off   │
 *     │                │           │ or     │
 *     │                ▼           ▼        ▼
 *     │             stopping    failed   stopping
 *     └──stop──▶ stopped ◀──gone──┘ └─stop, begin: as from stopped
 * ```
 *
 * A failure is an end that the restart mode does not take for a good one, a ready command that is out of time, or a
 * live command that failed too often in a row. Whether backing off or failed follows, the mode and the restarts so far
 * decide. Degraded leads wherever ready does; with the mode `never` it stays degraded, and is ready again once the live
 * command succeeds. `stop` while backing off or failed leads to stopping as well, since processes may be left; `begin`
 * leads from stopped and failed to starting.
 */
export type State =
  /** For the first `/init`. */
  | { readonly name: 'waiting' }
  /**
   * The ready command has not succeeded yet; `attempt` is its last failure. The start command may have exited with 0.
   */
  | { readonly name: 'starting'; readonly attempt: FailedAttempt | undefined }
  /** `since` is on the clock of performance.now(). */
  | { readonly name: 'ready'; readonly since: number }
  /** It was ready from `since` on, and the live command fails. */
  | { readonly name: 'degraded'; readonly since: number; readonly cause: NotLive }
  | { readonly name: 'stopping' }
  /** `delay` in milliseconds, from now. */
  | { readonly name: 'backing off'; readonly cause: Cause; readonly delay: number }
  /** `givenUp`: it was restarted too often. */
  | { readonly name: 'failed'; readonly cause: Cause; readonly givenUp: boolean }
  | { readonly name: 'stopped'; readonly cause: Cause }

type NotLive = Extract<Cause, { readonly kind: 'not live' }>

/** What happens to it. */
export type Event =
  /** The first `/init` came, the wait is over, or a client called `Start`. */
  | { readonly kind: 'begin' }
  /** An attempt of the ready command failed, or after readiness one of the live command. */
  | { readonly kind: 'attempt failed'; readonly attempt: FailedAttempt }
  /** An attempt succeeded. */
  | { readonly kind: 'ready' }
  /** The ready command is out of time. */
  | { readonly kind: 'not ready'; readonly attempt: FailedAttempt }
  /**
   * The start command ended or could not be started; `stillReady`: the ready command succeeded once more after that.
   */
  | { readonly kind: 'ended'; readonly cause: Cause; readonly stillReady: boolean }
  /** A client or the shutdown ends it. */
  | { readonly kind: 'stop' }
  /** Nothing is left of it after a stop. */
  | { readonly kind: 'gone' }

/** The state with the history that the next failure is judged by. */
export interface StateMachine {
  readonly state: State
  readonly restarts: Restarts
}

/** What the transitions go by. */
export interface Rules {
  readonly mode: RestartMode
  /** Failures of the live command in a row that count as a failure; Infinity: it never fails by that. */
  readonly liveFailures: number
  readonly timing: Timing
}

/** The machine after the event; the very same object when the event means nothing in its state. */
export function transition(machine: StateMachine, event: Event, rules: Rules & Moment): StateMachine {
  switch (machine.state.name) {
    case 'waiting':
      if (event.kind === 'begin') return started(machine.restarts)
      return event.kind === 'stop' ? stopped({ kind: 'requested' }) : machine
    case 'starting':
      return fromStarting(machine, event, rules)
    case 'ready':
      return fromReady(machine, machine.state, { event, rules })
    case 'degraded':
      return fromReady(machine, machine.state, { event, rules })
    case 'stopping':
      return event.kind === 'gone' ? stopped({ kind: 'requested' }) : machine
    case 'backing off':
      if (event.kind === 'begin') return started(machine.restarts)
      return event.kind === 'stop' ? stopping(machine) : machine
    case 'failed':
      if (event.kind === 'begin') return started(NO_RESTARTS)
      return event.kind === 'stop' ? stopping(machine) : machine
    case 'stopped':
      return event.kind === 'begin' ? started(NO_RESTARTS) : machine
  }
}

function fromStarting(machine: StateMachine, event: Event, rules: Rules & Moment): StateMachine {
  switch (event.kind) {
    case 'attempt failed':
      return { ...machine, state: { name: 'starting', attempt: event.attempt } }
    case 'ready':
      return { ...machine, state: { name: 'ready', since: rules.now } }
    case 'not ready':
      return failure(machine.restarts, { kind: 'not ready', attempt: event.attempt }, rules)
    case 'ended':
      // What the start command did may be what the ready command looks for (contract K14).
      return isGoodEnd(event.cause, rules) ? machine : failure(machine.restarts, event.cause, rules)
    case 'stop':
      return stopping(machine)
    case 'begin':
    case 'gone':
      return machine
  }
}

interface Step {
  readonly event: Event
  readonly rules: Rules & Moment
}

type Ready = Extract<State, { readonly name: 'ready' | 'degraded' }>

function fromReady(machine: StateMachine, state: Ready, { event, rules }: Step): StateMachine {
  switch (event.kind) {
    case 'stop':
      return stopping(machine)
    case 'ready':
      return state.name === 'ready' ? machine : { ...machine, state: { name: 'ready', since: rules.now } }
    case 'attempt failed':
      return degraded(machine, state, { attempt: event.attempt, rules })
    case 'ended':
      if (isGoodEnd(event.cause, rules)) return event.stillReady ? machine : stopped(event.cause)
      return failure(restartsAfter(machine, state, rules), event.cause, rules)
    case 'begin':
    case 'not ready':
    case 'gone':
      return machine
  }
}

function degraded(
  machine: StateMachine,
  state: Ready,
  { attempt, rules }: { readonly attempt: FailedAttempt; readonly rules: Rules & Moment },
): StateMachine {
  const failures = state.name === 'ready' ? 1 : state.cause.failures + 1
  const cause: NotLive = { kind: 'not live', attempt, failures }
  if (rules.mode !== 'never' && failures >= rules.liveFailures)
    return failure(restartsAfter(machine, state, rules), cause, rules)
  return { ...machine, state: { name: 'degraded', since: state.since, cause } }
}

function restartsAfter({ restarts }: StateMachine, { since }: Ready, { now, timing }: Rules & Moment): Restarts {
  return now - since >= timing.healthy ? afterHealth(restarts) : restarts
}

/** Exit code 0, unless it is to run always. */
export function isGoodEnd(cause: Cause, { mode }: Pick<Rules, 'mode'>): boolean {
  return cause.kind === 'exit' && cause.code === 0 && mode !== 'always'
}

function failure(restarts: Restarts, cause: Cause, rules: Rules & Moment): StateMachine {
  if (rules.mode === 'never') return { state: { name: 'failed', cause, givenUp: false }, restarts }
  const plan = planRestart(restarts, rules, rules.timing)
  if (plan === undefined) return { state: { name: 'failed', cause, givenUp: true }, restarts }
  return { state: { name: 'backing off', cause, delay: plan.delay }, restarts: plan.restarts }
}

function started(restarts: Restarts): StateMachine {
  return { state: { name: 'starting', attempt: undefined }, restarts }
}

function stopping(machine: StateMachine): StateMachine {
  return { ...machine, state: { name: 'stopping' } }
}

function stopped(cause: Cause): StateMachine {
  return { state: { name: 'stopped', cause }, restarts: NO_RESTARTS }
}
