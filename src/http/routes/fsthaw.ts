import type { FastifyInstance } from 'fastify'

/**
 * `POST /fsthaw` (contract B60): 204 once the root filesystem takes writes again; a client that leaves does not stop
 * it.
 */
export function fsthawRoute(app: FastifyInstance, root: { thaw(): Promise<void> }): void {
  app.post('/fsthaw', async (_request, reply) => {
    await root.thaw()
    return reply.code(204).header('cache-control', 'no-store').send()
  })
}
