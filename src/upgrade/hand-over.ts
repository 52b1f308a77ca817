/** The daemon that hands over, for the one that takes over. */
export interface HandOver {
  readonly version: string
  readonly commit: string
  /** When it stopped taking requests, in milliseconds of CLOCK_MONOTONIC. */
  readonly at: number
  /** The program that takes over; null: that of the keeper's command line. */
  readonly program: string | null
}

/** What a state (JSON) says of the daemon that handed it over; undefined: that did not hand over. */
export function readHandOver(state: string): HandOver | undefined {
  try {
    const value: unknown = JSON.parse(state)
    const found = typeof value === 'object' && value !== null && 'handOver' in value ? value.handOver : undefined
    return isHandOver(found) ? found : undefined
  } catch {
    return undefined
  }
}

function isHandOver(value: unknown): value is HandOver {
  if (typeof value !== 'object' || value === null) return false
  if (!('version' in value && 'commit' in value && 'at' in value && 'program' in value)) return false
  if (value.program !== null && typeof value.program !== 'string') return false
  return typeof value.version === 'string' && typeof value.commit === 'string' && typeof value.at === 'number'
}
