import type { Client } from '@connectrpc/connect'
import type { Terminals } from '../../gen/terminals/v1/terminals_pb.js'

/** A recording that goes on. */
export interface Recording {
  /** Ends it; resolves with all lines of the asciicast. */
  stop(): Promise<Blob>
}

/** It is kept in the memory of the page: what follows is not recorded. */
const MAX_BYTES = 64 * 1024 * 1024

/**
 * Records a terminal from now on, beginning with its screen (asciicast v2).
 * @param onFull is called when no more is kept.
 */
export function record(client: Client<typeof Terminals>, pid: number, onFull: () => void): Recording {
  const lines: Uint8Array<ArrayBuffer>[] = []
  const stopped = new AbortController()
  const run = async () => {
    let size = 0
    const terminal = { selector: { case: 'pid' as const, value: pid } }
    for await (const { event } of client.record({ terminal }, { signal: stopped.signal })) {
      if (event.case !== 'line') continue
      size += event.value.length
      if (size > MAX_BYTES) return onFull()
      lines.push(event.value as Uint8Array<ArrayBuffer>)
    }
  }
  // What was recorded until the terminal, the connection or the recording ended is what there is.
  const ended = run().catch(() => {})
  return {
    stop: async () => {
      stopped.abort()
      await ended
      return new Blob(lines, { type: 'application/x-asciicast' })
    },
  }
}
