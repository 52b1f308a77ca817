import { readFileSync } from 'node:fs'

let known: string | undefined

/** The machine's present run (random(4)): start times and the monotonic clock count from its boot. Empty: not known. */
export function bootId(): string {
  known ??= read()
  return known
}

function read(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
