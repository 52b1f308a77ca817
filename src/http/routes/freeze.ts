import type { FastifyInstance } from 'fastify'
import type { FreezeRequest } from '../../cgroups/freeze/freezer.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import { integerOf, queryValues } from '../app/query.ts'
import { clientGone } from '../server/client-gone.ts'

/** What the route freezes with. */
interface FreezeRouteOptions {
  /** Rejects with nothing but the signal's reason; the result is answered as it is. */
  readonly freeze: (query: FreezeRequest, signal: AbortSignal) => Promise<object>
  /** Takes a sample of the machine; never rejects. */
  readonly sampleNow: () => Promise<void>
  /** Sends the lines of the log that wait for at most so many milliseconds, then drops them. Never rejects. */
  readonly drainLogs: (milliseconds: number) => Promise<void>
}

/** What sending the log may take. */
const LOGS_MS = 2_000

/** What the closing sample may take; a source that hangs must not delay a pause. */
const SAMPLE_MS = 250

const NAMES = new Set(['mode', 'maxCgroups', 'maxWaitMs'])

/**
 * `POST /freeze` (contract B56 to B58): stops all commands, or with `mode=hierarchy` everything but what the machine
 * needs, after a last sample of the metrics. 204 at once, or with `maxWaitMs` 200 with the numbers of what has stopped
 * by then; 503 without a body when the client left meanwhile; 400 for parameters that are no integers. Of what is left
 * of `maxWaitMs` the log is sent, and then dropped (contract N20).
 */
export function freezeRoute(app: FastifyInstance, { freeze, sampleNow, drainLogs }: FreezeRouteOptions): void {
  app.post('/freeze', async (request, reply) => {
    const query = readQuery(request.url)
    const deadline = performance.now() + (query.maxWait ?? 0)
    const signal = clientGone(reply.raw)
    await withTimeout(SAMPLE_MS, sampleNow(), signal)
    const result = await freeze(query, signal).catch((error) => {
      if (signal.aborted) return undefined
      throw error
    })
    if (result === undefined) return reply.code(503).send()
    await drainLogs(Math.max(0, Math.min(LOGS_MS, deadline - performance.now())))
    if (query.maxWait === undefined || query.maxWait <= 0) return reply.code(204).send()
    const body = Buffer.from(`${JSON.stringify(result)}\n`)
    return reply.header('cache-control', 'no-store').header('content-type', 'application/json').send(body)
  })
}

function readQuery(url: string): FreezeRequest {
  const values = queryValues(url, NAMES)
  const numberOf = (name: string) => {
    const value = integerOf(name, values)
    return value === undefined ? undefined : Number(value)
  }
  return {
    hierarchy: values.get('mode') === 'hierarchy',
    maxCgroups: numberOf('maxCgroups'),
    maxWait: numberOf('maxWaitMs'),
  }
}
