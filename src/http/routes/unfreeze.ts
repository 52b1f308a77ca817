import type { FastifyInstance } from 'fastify'

/**
 * `POST /unfreeze` (contract B59): thaws everything, also for a client that leaves meanwhile; 204, or 500 with a JSON
 * error that says how much could not be thawed.
 *
 * @param unfreeze rejects with AppError `internal`.
 */
export function unfreezeRoute(app: FastifyInstance, unfreeze: () => Promise<void>): void {
  app.post('/unfreeze', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    await unfreeze()
    return reply.code(204).send()
  })
}
