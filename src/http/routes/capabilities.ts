import type { FastifyInstance } from 'fastify'
import { oncePerTurn } from '../../lib/once-per-turn.ts'

/** `GET /capabilities`: what the daemon serves, as JSON. @param json makes the answer, once for all who ask at once. */
export function capabilitiesRoute(app: FastifyInstance, json: () => string): void {
  const body = oncePerTurn(() => Buffer.from(`${json()}\n`))
  app.get('/capabilities', (_request, reply) => {
    const type = 'application/json; charset=utf-8'
    reply.header('content-type', type).header('cache-control', 'no-store').send(body())
  })
}
