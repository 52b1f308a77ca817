import type { FastifyInstance } from 'fastify'
import { START } from '../../config/supervisor.ts'
import { queryValues } from '../app/query.ts'

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

/** Whether the sandbox is in use. */
interface Use {
  readonly busy: boolean
  /** Since the last sign of activity. */
  readonly idleSeconds: number
}

const QUERY: ReadonlySet<string> = new Set(['verbose'])

/**
 * `GET /ready`: 204 once every ready command has succeeded and while the start command is well, else 503 with `{state,
 * reason, output}`, and `service` if it is not the start command. With `?verbose` there is a body in either case (then
 * 200), which also has `busy` and `idle_seconds`. It shows output, so it takes the access token like everything but
 * `/health`.
 */
export function readyRoute(app: FastifyInstance, readiness: Readiness, use: () => Use): void {
  app.get('/ready', (request, reply) => {
    const { service, state, reason, output } = readiness.status
    reply.header('cache-control', 'no-store')
    const verbose = queryValues(request.url, QUERY).has('verbose')
    if (state === 'ready' && !verbose) return reply.code(204).send()
    const which = service === START ? {} : { service }
    const said = { ...which, state, reason, output: output.toString(), ...(verbose ? inUse(use()) : {}) }
    const body = Buffer.from(`${JSON.stringify(said)}\n`)
    return reply
      .code(state === 'ready' ? 200 : 503)
      .header('content-type', 'application/json')
      .send(body)
  })
}

function inUse({ busy, idleSeconds }: Use) {
  return { busy, idle_seconds: Math.round(idleSeconds * 1000) / 1000 }
}
