import type { RestartMode } from '../config.ts'
import type { Cause, FailedAttempt } from './cause.ts'
import { afterHealth, type Moment, NO_RESTARTS, planRestart, type Restarts } from './restarts.ts'
import type { Timing } from './timing.ts'

/**
 * Where the start command stands.
 *
 * ```
 *  waiting ──begin──▶ starting ──ready──▶ ready
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
 * A failure is an end that the restart mode does not take for a good one, or a ready command that is out of time. Whether
 * backing off or failed follows, the mode and the restarts so far decide. `stop` while backing off or failed leads to
 * stopping as well, since processes may be left; `begin` leads from stopped and failed to starting.
 */
export type State =
  /** For the first `/init`. */
  | { readonly name: 'waiting' }
  /** The ready command has not succeeded yet; `attempt` is its last failure. The start command may have exited with 0. */
  | { readonly name: 'starting'; readonly attempt: FailedAttempt | undefined }
  /** `since` is on the clock of performance.now(). */
  | { readonly name: 'ready'; readonly since: number }
  | { readonly name: 'stopping' }
  /** `delay` in milliseconds, from now. */
  | { readonly name: 'backing off'; readonly cause: Cause; readonly delay: number }
  /** `givenUp`: it was restarted too often. */
  | { readonly name: 'failed'; readonly cause: Cause; readonly givenUp: boolean }
  | { readonly name: 'stopped'; readonly cause: Cause }

/** What happens to it. */
export type Event =
  /** The first `/init` came, the wait is over, or somebody asked for it. */
  | { readonly kind: 'begin' }
  | { readonly kind: 'attempt failed'; readonly attempt: FailedAttempt }
  | { readonly kind: 'ready' }
  /** The ready command is out of time. */
  | { readonly kind: 'not ready'; readonly attempt: FailedAttempt }
  /** The start command ended or could not be started; `stillReady`: the ready command succeeded once more after that. */
  | { readonly kind: 'ended'; readonly cause: Cause; readonly stillReady: boolean }
  /** Somebody asked for its end. */
  | { readonly kind: 'stop' }
  /** Nothing is left of it after a stop. */
  | { readonly kind: 'gone' }

/** The state with the history that the next failure is judged by. */
export interface Machine {
  readonly state: State
  readonly restarts: Restarts
}

/** What the transitions go by. */
export interface Rules {
  readonly mode: RestartMode
  readonly timing: Timing
}

/** The machine after the event; the very same object when the event means nothing in its state. */
export function transition(machine: Machine, event: Event, rules: Rules & Moment): Machine {
  switch (machine.state.name) {
    case 'waiting':
      if (event.kind === 'begin') return started(machine.restarts)
      return event.kind === 'stop' ? stopped({ kind: 'requested' }) : machine
    case 'starting':
      return fromStarting(machine, event, rules)
    case 'ready':
      return fromReady(machine, machine.state.since, { event, rules })
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

function fromStarting(machine: Machine, event: Event, rules: Rules & Moment): Machine {
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

function fromReady(machine: Machine, since: number, { event, rules }: Step): Machine {
  if (event.kind === 'stop') return stopping(machine)
  if (event.kind !== 'ended') return machine
  if (isGoodEnd(event.cause, rules)) return event.stillReady ? machine : stopped(event.cause)
  const healthy = rules.now - since >= rules.timing.healthy
  return failure(healthy ? afterHealth(machine.restarts) : machine.restarts, event.cause, rules)
}

/** Exit code 0, unless it is to run always. */
export function isGoodEnd(cause: Cause, { mode }: Pick<Rules, 'mode'>): boolean {
  return cause.kind === 'exit' && cause.code === 0 && mode !== 'always'
}

function failure(restarts: Restarts, cause: Cause, rules: Rules & Moment): Machine {
  if (rules.mode === 'never') return { state: { name: 'failed', cause, givenUp: false }, restarts }
  const plan = planRestart(restarts, rules, rules.timing)
  if (plan === undefined) return { state: { name: 'failed', cause, givenUp: true }, restarts }
  return { state: { name: 'backing off', cause, delay: plan.delay }, restarts: plan.restarts }
}

function started(restarts: Restarts): Machine {
  return { state: { name: 'starting', attempt: undefined }, restarts }
}

function stopping(machine: Machine): Machine {
  return { ...machine, state: { name: 'stopping' } }
}

function stopped(cause: Cause): Machine {
  return { state: { name: 'stopped', cause }, restarts: NO_RESTARTS }
}
