import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'
import type { InitHeader } from '../../init/call.ts'
import type { Initialization } from '../../init/initialization.ts'
import { type InitRequest, parseInitRequest } from '../../init/request.ts'
import { reseed } from '../../native/random.ts'
import { VERSION } from '../../version.ts'
import type { RequestBodies } from '../body/request-bodies.ts'
import { clientGone } from '../server/client-gone.ts'
import { peerLeft } from '../server/peer-left.ts'

/**
 * Bytes of a body. Clients are promised no limit (contract F24), but the caller has not shown a token yet. Bundles of
 * certificates of 3 MB are real, and so are 3 MB of variables; the kernel takes no more of them for a command anyway.
 */
const MAX_BODY = 4 * 1024 * 1024

interface InitRouteDeps {
  readonly initialization: Initialization
  readonly bodies: RequestBodies
  /** The value of `X-Envd-Memory` (contract N13). */
  readonly memory: string
  /** Called after each call that succeeded, when it is answered. */
  readonly checkAfterResume?: () => void
}

/** `POST /init`: sets the access token, the clock, the variables and the defaults of all later calls (contract F). */
export function initRoute(
  app: FastifyInstance,
  { initialization, bodies, memory, checkAfterResume }: InitRouteDeps,
): void {
  app.addHook('onResponse', async (_, { statusCode }) => (statusCode < 300 ? checkAfterResume?.() : undefined))
  app.post('/init', {
    onRequest: async (request, reply) => {
      reply.header('x-envd-version', VERSION).header('x-envd-memory', memory)
      // The content type means nothing here (contract F4), and Fastify refuses a malformed one.
      delete request.raw.headers['content-type']
    },
    handler: async (request, reply) => {
      const signal = clientGone(reply.raw)
      if (peerLeft(request.raw.socket)) throw new AppError('unavailable', 'the client is gone')
      const generation = await initialization.enter(signal)
      const { parsed, readAt } = await readRequest(request.raw, bodies, signal)
      const left = () => signal.aborted || peerLeft(request.raw.socket)
      const setHeader = (header: InitHeader, value: string) => void reply.header(header, value)
      const outcome = await initialization.apply(parsed, { signal, generation, readAt, left, setHeader })
      if (!outcome.ok) throw new AppError('unauthenticated', outcome.reason)
      return reply.code(204).header('cache-control', 'no-store').send()
    },
  })
}

/** A request, and when its body had been read (`InitCall.readAt`). */
interface ReadRequest {
  readonly parsed: InitRequest
  readonly readAt: number
}

async function readRequest(request: IncomingMessage, bodies: RequestBodies, signal: AbortSignal): Promise<ReadRequest> {
  const memory = bodies.memoryFor(request, 'body')
  try {
    const body = await bodies.read(request, { limit: MAX_BODY, memory, signal })
    const readAt = performance.now()
    // What the host says is said to no other clone of the same snapshot.
    reseed(body)
    memory.count(body.length)
    const parsed = await parseInitRequest(body, signal)
    body.fill(0)
    return { parsed, readAt }
  } finally {
    memory.release()
  }
}
