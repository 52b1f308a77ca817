import type { FastifyInstance } from 'fastify'

/** How the start and ready commands do. */
export interface Readiness {
  readonly status: {
    readonly state: string
    /** One line for people. */
    readonly reason: string
    /** The last that the command wrote which the reason names. */
    readonly output: Buffer
  }
}

/**
 * `GET /ready`: 204 once the ready command has succeeded and while the start command is well, else 503 with
 * `{state, reason, output}`. It shows output, so it takes the access token like everything but `/health`.
 */
export function readyRoute(app: FastifyInstance, readiness: Readiness): void {
  app.get('/ready', (_request, reply) => {
    const { state, reason, output } = readiness.status
    reply.header('cache-control', 'no-store')
    if (state === 'ready') return reply.code(204).send()
    const body = Buffer.from(`${JSON.stringify({ state, reason, output: output.toString() })}\n`)
    return reply.code(503).header('content-type', 'application/json').send(body)
  })
}
