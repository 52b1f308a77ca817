import type { FastifyInstance } from 'fastify'
import { clientGone } from '../server/client-gone.ts'

/**
 * `POST /fsfreeze` (contract B60): 204 once nothing more is written to the root filesystem, also when it was frozen
 * before; 500 with the reason when it cannot be; 503 when the client leaves while it waits for its turn.
 */
export function fsfreezeRoute(app: FastifyInstance, root: { freeze(signal: AbortSignal): Promise<void> }): void {
  app.post('/fsfreeze', async (_request, reply) => {
    await root.freeze(clientGone(reply.raw))
    return reply.code(204).header('cache-control', 'no-store').send()
  })
}
