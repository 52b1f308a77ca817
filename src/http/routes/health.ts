import type { FastifyInstance } from 'fastify'
import type { DirectExchange, DirectRoute } from '../app/direct.ts'

/** `GET /health` (contract B1): 204 from memory alone, so that it answers whatever the disk and the thread pool do. */
export function healthRoute(app: FastifyInstance): void {
  app.get('/health', (_request, reply) => {
    reply.code(204).header('cache-control', 'no-store').send()
  })
}

/** The usual requests of it. */
export const directHealth: DirectRoute = {
  method: 'GET',
  path: '/health',
  accept: () => answer,
}

function answer({ response }: DirectExchange): void {
  response.writeHead(204, { 'cache-control': 'no-store' }).end()
}
