import { createServer, type RequestListener } from 'node:http'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { created, info, secondsOf, toRequest } from './answers.ts'
import { metricsOf } from './metrics.ts'
import type { Sandbox } from './sandbox.ts'
import type { Sandboxes } from './sandboxes.ts'

const PAGE = 100

/** A refusal: the status, and what the body says. Clients look at the body. */
class ApiError extends Error {
  readonly statusCode: number
  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

type Query = Readonly<Record<string, string | undefined>>

/**
 * The API that clients know as E2B_API_URL.
 * @param guard stands before every request, also of unknown routes.
 */
export function buildApi(sandboxes: Sandboxes, guard: (handler: RequestListener) => RequestListener): FastifyInstance {
  const api = fastify({ forceCloseConnections: true, serverFactory: (handler) => createServer(guard(handler)) })
  api.removeContentTypeParser('application/json')
  api.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) =>
    done(null, body === '' ? {} : JSON.parse(String(body))),
  )
  api.setErrorHandler((error: Error & { statusCode?: number }, _, reply) => {
    const code = error.statusCode ?? 500
    return reply.code(code).send({ code, message: error.message })
  })
  api.setNotFoundHandler(({ method, url }, reply) =>
    reply.code(404).send({ code: 404, message: `${method} ${url} is not part of the local control plane` }),
  )
  api.addHook('onRequest', async ({ headers }) => {
    if (!headers['x-api-key'] && !headers.authorization)
      throw new ApiError(401, 'an API key is missing: any will do here')
  })
  addCreation(api, sandboxes)
  addState(api, sandboxes)
  addReading(api, sandboxes)
  return api
}

function addCreation(api: FastifyInstance, sandboxes: Sandboxes): void {
  const create = (secureByDefault: boolean) => async (request: FastifyRequest, reply: FastifyReply) =>
    reply.code(201).send(created(await sandboxes.create(toRequest(request.body, secureByDefault))))
  api.post('/sandboxes', create(false))
  api.post('/v2/sandboxes', create(true))

  const connect = async (request: FastifyRequest, reply: FastifyReply) => {
    const sandbox = sandboxOf(sandboxes, request)
    const paused = sandbox.state === 'paused'
    await sandboxes.connect(sandbox, secondsOf(request.body))
    return reply.code(paused ? 201 : 200).send(created(sandbox))
  }
  api.post('/sandboxes/:id/connect', connect)
  api.post('/v2/sandboxes/:id/connect', connect)
  api.post('/sandboxes/:id/resume', (request, reply) => {
    if (sandboxOf(sandboxes, request).state === 'running') throw new ApiError(409, 'the sandbox is already running')
    return connect(request, reply)
  })
}

function addState(api: FastifyInstance, sandboxes: Sandboxes): void {
  api.delete('/sandboxes/:id', async (request, reply) => {
    await sandboxes.kill(sandboxOf(sandboxes, request))
    return reply.code(204).send()
  })
  api.post('/sandboxes/:id/timeout', async (request, reply) => {
    sandboxes.setTimeout(sandboxOf(sandboxes, request), secondsOf(request.body))
    return reply.code(204).send()
  })
  api.post('/sandboxes/:id/pause', async (request, reply) => {
    const sandbox = sandboxOf(sandboxes, request)
    if (sandbox.state === 'paused') throw new ApiError(409, 'the sandbox is already paused')
    await sandboxes.pause(sandbox)
    return reply.code(204).send()
  })
}

function addReading(api: FastifyInstance, sandboxes: Sandboxes): void {
  api.get('/sandboxes/:id', async (request) => info(sandboxOf(sandboxes, request)))
  api.get('/sandboxes', async () => sandboxes.list().map(info))
  api.get<{ Querystring: Query }>('/v2/sandboxes', async ({ query }, reply) => {
    const found = sandboxes.list().filter((sandbox) => isWanted(sandbox, query))
    const from = Number(query['nextToken'] ?? 0)
    const to = from + Number(query['limit'] ?? PAGE)
    if (to < found.length) reply.header('x-next-token', String(to))
    return found.slice(from, to).map(info)
  })
  api.get<{ Querystring: Query }>('/sandboxes/:id/metrics', async (request) => {
    const seconds = (name: string) => (request.query[name] === undefined ? undefined : Number(request.query[name]))
    return metricsOf(sandboxOf(sandboxes, request), seconds('start'), seconds('end'))
  })
  api.get('/sandboxes/:id/logs', async (request) => ({
    logs: sandboxOf(sandboxes, request).daemon.logs(),
    logEntries: [],
  }))
}

function sandboxOf(sandboxes: Sandboxes, request: FastifyRequest): Sandbox {
  // Every route that comes here has this parameter.
  const { id } = request.params as { id: string }
  const sandbox = sandboxes.find(id)
  if (sandbox === undefined) throw new ApiError(404, `sandbox "${id}" does not exist`)
  return sandbox
}

function isWanted({ state, request }: Sandbox, query: Query): boolean {
  const states = query['state']?.split(',') ?? ['running', 'paused']
  const metadata = new URLSearchParams(query['metadata'] ?? '')
  return states.includes(state) && [...metadata].every(([name, value]) => request.metadata[name] === value)
}
