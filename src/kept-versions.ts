import { readSync } from 'node:fs'
import type { Taken } from './keeper/keeper.ts'
import { DAEMON_KEY, OUTPUT_KEY } from './keeper/keys.ts'
import { isReadableWatcher } from './kept-watchers.ts'
import { isKnownLayout } from './process/output-layout.ts'
import { readRecord } from './process/process-record.ts'
import { isReadable } from './version.ts'

/**
 * Checks that all that an earlier daemon has left is of a version that this one understands, before it touches any of
 * it. Throws an Error that says what is not.
 */
export function requireReadable({ deposits }: Taken): void {
  for (const { key, pid, content, descriptors } of deposits) {
    const [memory] = descriptors
    if (key === DAEMON_KEY && !isReadable(versionOfState(content))) throw foreign('the state of the sandbox')
    if (key === OUTPUT_KEY && memory !== undefined && !isKnownLayout(bytesOf(memory, 8)))
      throw foreign('the memory of output')
    if (key > OUTPUT_KEY && pid === 0 && !isReadableWatcher(content)) throw foreign('the record of a watcher')
    if (pid !== 0 && readRecord(content) === undefined) throw foreign(`the record of process ${pid}`)
  }
}

function foreign(what: string): Error {
  return new Error(`${what} is of a version that this daemon does not understand: it does not take over`)
}

function versionOfState(content: Buffer): unknown {
  const text = content.toString()
  try {
    const state: unknown = JSON.parse(text.slice(text.indexOf('\n') + 1))
    return typeof state === 'object' && state !== null && 'version' in state ? state.version : undefined
  } catch {
    return undefined
  }
}

function bytesOf(memory: number, most: number): Buffer {
  const bytes = Buffer.alloc(most)
  return bytes.subarray(0, readSync(memory, bytes, 0, most, 0))
}
