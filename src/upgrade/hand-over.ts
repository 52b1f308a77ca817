import { parseJsonAs } from '../lib/parse-json.ts'

/** The daemon that hands over, for the one that takes over. */
export interface HandOver {
  readonly version: string
  readonly commit: string
  /** When it stopped taking requests, in milliseconds of CLOCK_MONOTONIC. */
  readonly at: number
  /** The program that takes over; null: that of the keeper's command line. */
  readonly program: string | null
  /** The program that hands over, in the same way; absent: an older daemon has written this. */
  readonly own?: string | null
}

/** What a state (JSON) says of the daemon that handed it over; undefined: that did not hand over. */
export function readHandOver(state: string): HandOver | undefined {
  return parseJsonAs(state, hasHandOver)?.handOver
}

/** What a state says of a hand-over that was to come; undefined: none was. */
export function readAnnounced(state: string): HandOver | undefined {
  return parseJsonAs(state, hasAnnounced)?.next
}

function hasAnnounced(value: unknown): value is { readonly next: HandOver } {
  return typeof value === 'object' && value !== null && 'next' in value && isHandOver(value.next)
}

function hasHandOver(value: unknown): value is { readonly handOver: HandOver } {
  return typeof value === 'object' && value !== null && 'handOver' in value && isHandOver(value.handOver)
}

function isHandOver(value: unknown): value is HandOver {
  if (typeof value !== 'object' || value === null) return false
  if (!('version' in value && 'commit' in value && 'at' in value && 'program' in value)) return false
  if (!isProgram(value.program) || ('own' in value && !isProgram(value.own))) return false
  return typeof value.version === 'string' && typeof value.commit === 'string' && typeof value.at === 'number'
}

function isProgram(value: unknown): value is string | null {
  return value === null || typeof value === 'string'
}
