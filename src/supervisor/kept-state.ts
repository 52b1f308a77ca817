import { parseJsonAs } from '../lib/parse-json.ts'
import type { Cause } from './cause.ts'
import type { State } from './state-machine.ts'

/** Where the state of each service is kept for the next daemon, as text. */
export interface KeptStates {
  /** What an earlier daemon has kept; undefined: nothing. */
  read(service: string): string | undefined
  /** Undefined: nothing is to be kept of it. */
  write(service: string, text: string | undefined): void
}

/** What becomes of a service whose command does not run, or should not. */
type Over = Extract<State, { readonly name: 'stopped' | 'failed' | 'stopping' }>

interface Kept {
  /** Fingerprint of the command that had this state. */
  readonly fingerprint: string
  readonly state: Over
}

/**
 * What is to be kept of a state: only that a command is not to be started again. Whether one runs the keeper knows
 * better.
 */
export function keptText(state: State, fingerprint: string): string | undefined {
  if (state.name !== 'stopped' && state.name !== 'failed' && state.name !== 'stopping') return undefined
  const kept: Kept = { fingerprint, state }
  return JSON.stringify(kept, (key, value) => (key === 'output' ? Buffer.from(value).toString('base64') : value))
}

/** The state that an earlier daemon has kept for the same command; undefined: there is none. */
export function readKept(text: string | undefined, fingerprint: string): Over | undefined {
  const kept = text === undefined ? undefined : parseJsonAs(text, isKept)
  if (kept?.fingerprint !== fingerprint) return undefined
  const { state } = kept
  return state.name === 'stopping' ? state : { ...state, cause: withOutput(state.cause) }
}

/** Only daemons write it, so a state that they have is whole. */
function isKept(value: unknown): value is Kept {
  return typeof value === 'object' && value !== null && 'fingerprint' in value && 'state' in value
}

/** Output is text on the way. */
function withOutput(cause: Cause): Cause {
  if ('attempt' in cause) return { ...cause, attempt: { ...cause.attempt, output: bytes(cause.attempt.output) } }
  return 'output' in cause ? { ...cause, output: bytes(cause.output) } : cause
}

function bytes(text: unknown): Buffer {
  return Buffer.from(String(text), 'base64')
}
