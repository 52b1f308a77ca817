import type { FastifyInstance } from 'fastify'

/** `GET /health` (contract B1): 204 from memory alone, so that it answers whatever the disk and the thread pool do. */
export function healthRoute(app: FastifyInstance): void {
  app.get('/health', (_request, reply) => {
    reply.code(204).header('cache-control', 'no-store').send()
  })
}
