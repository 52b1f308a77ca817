import { type ByteBudget, createByteBudget, type Hold } from '../../budget/budget.ts'
import type { Connections } from './connections.ts'

/**
 * What the calls of all HTTP/2 connections may take in sum, counted before a token was verified; as much again is for
 * connections with a verified token. With small headers these are 4,096 calls each; a connection may have as many as
 * are still free.
 */
const CALLS_BYTES = 32 * 1024 * 1024

/**
 * Request and response of a call, from its headers until its answer is out, which a client without a window delays for
 * ever.
 */
const CALL_BYTES = 8 * 1024

/** A field takes two strings beside its bytes. */
const FIELD_BYTES = 64

/** Counts the calls of HTTP/2 and their headers, which stay in memory as long as their calls. */
export interface StreamMemory {
  /** Memory of a new call. The caller releases it when the call is over; undefined: there is none. */
  take(session: object, rawHeaders: readonly string[]): Hold | undefined
}

/** Makes one for a server. */
export function createStreamMemory(connections: Pick<Connections, 'hasShownToken'>): StreamMemory {
  const unverified = createByteBudget(CALLS_BYTES)
  const known = createByteBudget(CALLS_BYTES)
  return {
    take: (session, rawHeaders) => {
      const budget: ByteBudget = connections.hasShownToken(session) ? known : unverified
      const hold = budget.hold('body', { connection: session, user: undefined })
      const headers = rawHeaders.reduce((sum, { length }) => sum + length + FIELD_BYTES, 0)
      return hold.tryGrow(CALL_BYTES + headers) ? hold : undefined
    },
  }
}
