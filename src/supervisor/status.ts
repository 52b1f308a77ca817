import { attemptText, type Cause, causeOutput, causeText } from './cause.ts'
import type { State } from './state-machine.ts'
import type { Timing } from './timing.ts'

/** The state of the supervisor at one moment. */
export interface Status {
  readonly service: string
  readonly state: State['name']
  /** Grows by 1 with every status that watchers receive. */
  readonly sequence: number
  /** When it came into this state: milliseconds since 1970. */
  readonly since: number
  /** One line for people. */
  readonly reason: string
  readonly cause: Cause | undefined
  /** Pid of the start command, while it runs. */
  readonly pid: number | undefined
  /** Since the daemon came up. */
  readonly restarts: number
  /** When it is started again, in milliseconds since 1970; while it is backing off. */
  readonly nextStart: number | undefined
  /** The last that the command wrote which `reason` names. */
  readonly output: Buffer
}

/** What a reason is made of, beside the state. */
interface ReasonContext {
  readonly service: string
  readonly timing: Timing
  /** What keeps it waiting. */
  readonly waitsFor: string
}

/** The state in one line, for people. It says nothing of the commands but how they ended. */
export function reasonOf(state: State, { service, timing, waitsFor }: ReasonContext): string {
  switch (state.name) {
    case 'waiting':
      return `waiting for ${waitsFor}`
    case 'starting':
      return state.attempt === undefined ? 'starting' : attemptText(state.attempt)
    case 'ready':
    case 'stopping':
      return state.name
    case 'degraded':
      return attemptText(state.cause.attempt)
    case 'backing off':
      return `${causeText(state.cause, service)}; it is started again after ${state.delay / 1000} s`
    case 'failed':
      return state.givenUp ? `${causeText(state.cause, service)}; ${tooOften(timing)}` : causeText(state.cause, service)
    case 'stopped':
      return causeText(state.cause, service)
  }
}

function tooOften({ breakerRestarts, breakerWindow }: Timing): string {
  return `given up after ${breakerRestarts} restarts within ${breakerWindow / 1000} s`
}

/** Why it is in this state, if it is one that has a cause. */
export function causeOfState(state: State): Cause | undefined {
  return 'cause' in state ? state.cause : undefined
}

/** The last output of the command that `reasonOf` names. */
export function outputOf(state: State): Buffer {
  if ('cause' in state) return causeOutput(state.cause)
  return state.name === 'starting' && state.attempt !== undefined ? state.attempt.output : Buffer.alloc(0)
}
