import type { FastifyInstance } from 'fastify'
import type { Defaults } from '../../users/defaults.ts'

/** `GET /envs` (contract B3): all variables that every command gets, as one JSON object sorted by name. */
export function envsRoute(app: FastifyInstance, defaults: Defaults): void {
  app.get('/envs', (_request, reply) => {
    // Written by hand, as an object would put names that are numbers first; as bytes, so that no charset is added.
    const members = [...defaults.env.all()].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    reply
      .header('content-type', 'application/json')
      .header('cache-control', 'no-store')
      .send(Buffer.from(`{${members.join(',')}}\n`))
  })
}
