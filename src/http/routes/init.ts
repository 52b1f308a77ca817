import type { FastifyInstance } from 'fastify'
import { AppError } from '../../errors.ts'
import { stir } from '../../system/random.ts'
import { VERSION } from '../../version.ts'
import { clientGone } from '../client-gone.ts'
import { parseInitRequest } from '../init-request.ts'
import type { Initialization } from '../initialization.ts'
import { readBody } from '../read-body.ts'

/**
 * Bytes of a body. Clients are promised no limit (contract F24: 3 MB of variables are taken), yet a body is held in memory
 * several times over while it is read; the kernel takes at most a few MiB of variables for a command anyway.
 */
const MAX_BODY = 64 * 1024 * 1024

/**
 * `POST /init`: sets the access token, the clock, the variables and the defaults of all later calls (contract F).
 * @param lookAround called after each that succeeded, when it is answered.
 */
export function initRoute(app: FastifyInstance, initialization: Initialization, lookAround = () => {}): void {
  app.addHook('onResponse', async (_, { statusCode }) => (statusCode < 300 ? lookAround() : undefined))
  app.post('/init', {
    onRequest: async (request, reply) => {
      reply.header('x-envd-version', VERSION)
      // The content type means nothing here (contract F4), and Fastify refuses a malformed one.
      delete request.raw.headers['content-type']
    },
    handler: async (request, reply) => {
      const signal = clientGone(reply.raw)
      const body = await readBody(request.raw, MAX_BODY)
      const parsed = parseInitRequest(body)
      // What the host says is said to no other clone of the same snapshot.
      stir(body)
      body.fill(0)
      const onAudit = (audit: string) => void reply.header('x-envd-freeze-audit', audit)
      const outcome = await initialization.apply(parsed, { signal, onAudit })
      if (!outcome.ok) throw new AppError('unauthenticated', outcome.reason)
      return reply.code(204).header('cache-control', 'no-store').send()
    },
  })
}
