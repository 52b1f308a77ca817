import type { Socket } from 'node:net'
import { createByteBudget, type Hold } from '../../budget/budget.ts'
import type { Connections } from './connections.ts'

/**
 * Requests that a connection may send ahead of their answers before it has shown the token. No client in use sends more
 * than one; a read of 64 KiB brings in 2,000, which would halt the event loop for a tenth of a second. To parse so many
 * and to give them up again takes 3 ms.
 */
const MAX_PIPELINED = 64

/**
 * What all requests that were sent ahead may take in sum, also with the token; each with its answer takes some 8 KiB
 * until the answer is out. A connection may have as many as are still free, so half of them at most.
 */
const PIPELINED_BYTES = 16 * 1024 * 1024
const PIPELINED_REQUEST_BYTES = 8 * 1024

/** The requests that wait for the answers to earlier ones of their connection. */
interface Pipelined {
  /**
   * Counts a request. The caller releases it when the answer is out; undefined: it is one too many.
   * @param before requests of the connection that are not answered yet; with 0 it always may.
   */
  take(socket: Socket, before: number): Hold | undefined
}

/** Makes an empty count. */
export function createPipelined(connections: Pick<Connections, 'hasShownToken'>): Pipelined {
  const budget = createByteBudget(PIPELINED_BYTES)
  return {
    take: (socket, before) => {
      const hold = budget.hold('body', { connection: socket, user: undefined })
      if (before === 0) return hold
      const isAllowed = before < MAX_PIPELINED || connections.hasShownToken(socket)
      return isAllowed && hold.tryGrow(PIPELINED_REQUEST_BYTES) ? hold : undefined
    },
  }
}
