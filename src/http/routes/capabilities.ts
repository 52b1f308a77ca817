import type { FastifyInstance } from 'fastify'

/** `GET /capabilities`: what the daemon serves, as JSON. @param json makes the answer. */
export function capabilitiesRoute(app: FastifyInstance, json: () => string): void {
  app.get('/capabilities', (_request, reply) => {
    reply.header('content-type', 'application/json').header('cache-control', 'no-store').send(`${json()}\n`)
  })
}
