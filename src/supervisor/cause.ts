import { START } from '../config/supervisor.ts'
import type { ErrorKind } from '../errors.ts'

/** A failed attempt of the ready or the live command: what became of it, and the last that it wrote. */
export interface FailedAttempt {
  readonly probe: Probe
  /** `exit status 7`, `signal: killed`, `took longer than 180 s`, or why it could not be started. */
  readonly status: string
  readonly output: Buffer
}

/** The commands that check the start command: until it is ready, and from then on. */
export type Probe = 'ready' | 'live'

/** Why a service's command does not run, or is not wanted any more. `output` is the last that it wrote. */
export type Cause =
  | { readonly kind: 'exit'; readonly code: number; readonly output: Buffer }
  | { readonly kind: 'signal'; readonly signal: string; readonly output: Buffer }
  /** It was started by an earlier daemon, so only that it is gone can be known. */
  | { readonly kind: 'unknown end'; readonly output: Buffer }
  | { readonly kind: 'out of memory'; readonly output: Buffer }
  | { readonly kind: 'not started'; readonly error: ErrorKind; readonly message: string }
  | { readonly kind: 'not ready'; readonly attempt: FailedAttempt }
  /** So many attempts in a row failed after readiness; `attempt` is the last. */
  | { readonly kind: 'not live'; readonly attempt: FailedAttempt; readonly failures: number }
  | { readonly kind: 'requested' }

/** How a service is called in texts: the start command by that name. */
export function titleOf(service: string): string {
  return service === START ? 'start command' : `service ${service}`
}

/** The cause in one line, for people. */
export function causeText(cause: Cause, service: string): string {
  const title = titleOf(service)
  switch (cause.kind) {
    case 'exit':
      return `${title} exited with ${cause.code}`
    case 'signal':
      return `${title} ended by signal: ${cause.signal}`
    case 'unknown end':
      return `${title} ended, exit status unknown: an earlier daemon started it`
    case 'out of memory':
      return `${title} killed: out of memory`
    case 'not started':
      return `${title} could not be started: ${cause.message}`
    case 'not ready':
      return attemptText(cause.attempt)
    case 'not live':
      return `not ready any more: ${attemptText(cause.attempt)}, ${times(cause.failures)}`
    case 'requested':
      return 'stopped on request'
  }
}

/** A failed attempt in one line. */
export function attemptText({ probe, status }: FailedAttempt): string {
  return `${probe} command failing: ${status}`
}

function times(failures: number): string {
  return failures === 1 ? 'once' : `${failures} times in a row`
}

/** The last output of the command that `causeText` names. */
export function causeOutput(cause: Cause): Buffer {
  switch (cause.kind) {
    case 'exit':
    case 'signal':
    case 'unknown end':
    case 'out of memory':
      return cause.output
    case 'not ready':
    case 'not live':
      return cause.attempt.output
    case 'not started':
    case 'requested':
      return Buffer.alloc(0)
  }
}
