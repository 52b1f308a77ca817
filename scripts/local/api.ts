import { createServer, type RequestListener } from 'node:http'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { created, info, listed } from './answers.ts'
import { page, type Query, wanted } from './list.ts'
import { metricsOf } from './metrics.ts'
import { fieldsOf, secondsOf, toNetwork, toRequest, wantsMemory } from './request.ts'
import type { Sandbox } from './sandbox.ts'
import type { Sandboxes } from './sandboxes.ts'

/** A refusal: the status, and what the body says. Clients look at the body. */
class ApiError extends Error {
  readonly statusCode: number
  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/** New sandboxes of one fork: more than a developer's machine takes. */
const MAX_FORKS = 100

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
  addSnapshots(api, sandboxes)
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
    await sandboxes.connect(sandbox, secondsOf(request.body), wantsMemory(request.body))
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
    await sandbox.pause(wantsMemory(request.body))
    return reply.code(204).send()
  })
  api.put('/sandboxes/:id/network', async (request, reply) => {
    sandboxOf(sandboxes, request).network = toNetwork(request.body)
    return reply.code(204).send()
  })
}

function addReading(api: FastifyInstance, sandboxes: Sandboxes): void {
  api.get('/sandboxes/:id', async (request) => info(sandboxOf(sandboxes, request)))
  api.get<{ Querystring: Query }>('/sandboxes', async ({ query }) =>
    wanted(sandboxes.list(), { ...query, state: 'running' }).map(listed),
  )
  api.get<{ Querystring: Query }>('/v2/sandboxes', async ({ query }, reply) =>
    page(wanted(sandboxes.list(), query), query, reply).map(listed),
  )
  api.get<{ Querystring: Query }>('/sandboxes/:id/metrics', async (request) => {
    const seconds = (name: string) => (request.query[name] === undefined ? undefined : Number(request.query[name]))
    return metricsOf(sandboxOf(sandboxes, request), seconds('start'), seconds('end'))
  })
  api.get('/sandboxes/:id/logs', async (request) => ({
    logs: sandboxOf(sandboxes, request).daemon?.logs() ?? [],
    logEntries: [],
  }))
}

function addSnapshots(api: FastifyInstance, sandboxes: Sandboxes): void {
  const { snapshots } = sandboxes
  const answer = ({ id, names }: { id: string; names: readonly string[] }) => ({ snapshotID: id, names })
  api.post('/sandboxes/:id/snapshots', async (request, reply) => {
    const { name } = fieldsOf(request.body)
    const snapshot = await snapshots.create(sandboxOf(sandboxes, request), typeof name === 'string' ? name : undefined)
    return reply.code(201).send(answer(snapshot))
  })
  api.get<{ Querystring: Query }>('/snapshots', async ({ query }, reply) => {
    const { sandboxID, name } = query
    const named = name === undefined ? undefined : snapshots.find(name)
    const found = snapshots
      .list()
      .filter(
        (one) => (sandboxID === undefined || one.sandboxId === sandboxID) && (name === undefined || one === named),
      )
    return page(found, query, reply).map(answer)
  })
  api.delete<{ Params: { name: string } }>('/templates/:name', async ({ params }, reply) => {
    if (!(await snapshots.remove(params.name))) throw new ApiError(404, `template "${params.name}" does not exist`)
    return reply.code(204).send()
  })
  api.post('/sandboxes/:id/fork', async (request, reply) => {
    const count = Number(fieldsOf(request.body)['count'] ?? 1)
    if (!(Number.isInteger(count) && count > 0 && count <= MAX_FORKS))
      throw new ApiError(400, `count must be from 1 to ${MAX_FORKS}`)
    const forks = await sandboxes.fork(sandboxOf(sandboxes, request), { count, timeout: secondsOf(request.body) })
    const told = forks.map((one) =>
      one instanceof Error ? { error: { code: 500, message: one.message } } : { sandbox: created(one) },
    )
    return reply.code(201).send(told)
  })
}

function sandboxOf(sandboxes: Sandboxes, request: FastifyRequest): Sandbox {
  // Every route that comes here has this parameter.
  const { id } = request.params as { id: string }
  const sandbox = sandboxes.find(id)
  if (sandbox === undefined) throw new ApiError(404, `sandbox "${id}" does not exist`)
  return sandbox
}
