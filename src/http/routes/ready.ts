import type { FastifyInstance } from 'fastify'
import { START } from '../../config/supervisor.ts'

/** How the services do. */
interface Readiness {
  /** Of the first that is not ready, or of any. */
  readonly status: {
    readonly service: string
    readonly state: string
    /** One line for people. */
    readonly reason: string
    /** The last that the command wrote which the reason names. */
    readonly output: Buffer
  }
}

/**
 * `GET /ready`: 204 once every ready command has succeeded and while the start command is well, else 503 with
 * `{state, reason, output}`, and `service` if it is not the start command. It shows output, so it takes the access token like everything but `/health`.
 */
export function readyRoute(app: FastifyInstance, readiness: Readiness): void {
  app.get('/ready', (_request, reply) => {
    const { service, state, reason, output } = readiness.status
    reply.header('cache-control', 'no-store')
    if (state === 'ready') return reply.code(204).send()
    const which = service === START ? {} : { service }
    const body = Buffer.from(`${JSON.stringify({ ...which, state, reason, output: output.toString() })}\n`)
    return reply.code(503).header('content-type', 'application/json').send(body)
  })
}
