import type { Log, LogFields } from '../../src/log.ts'

/** A log that keeps its lines. */
export interface Notes extends Log {
  readonly warnings: { readonly fields: LogFields; readonly message: string }[]
}

export function takeNotes(): Notes {
  const warnings: Notes['warnings'] = []
  const warn = (fields: LogFields, message: string) => void warnings.push({ fields, message })
  const notes: Notes = { warnings, debug: () => {}, info: () => {}, warn, error: warn, named: () => notes }
  return notes
}
