import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { pathOf } from './path.ts'

/** In the `config` of a route with parameters: the paths that it serves. For others it calls `reply.callNotFound()`. */
export interface ServedPaths {
  readonly paths: readonly string[]
}

type Unrouted = (request: FastifyRequest, reply: FastifyReply) => void

/**
 * Answers what no route takes (contract A18): 405 with one `Allow` header per method when the path exists, else 404. To
 * be called before the routes are registered, as it notes their methods.
 * @returns answers a request so.
 */
export function answerUnrouted(app: FastifyInstance): Unrouted {
  const methods = new Map<string, Set<string>>()
  const patterns = new Map<string, RegExp>()
  app.addHook('onRoute', ({ url, method, config }) => {
    for (const path of pathsOf(config) ?? [url]) {
      const known = methods.get(path) ?? new Set()
      methods.set(path, known)
      if (/[:*]/.test(path)) patterns.set(path, patternOf(path))
      for (const name of [method].flat()) known.add(name)
    }
  })
  const answer: Unrouted = (request, reply) => {
    const path = pathOf(request.url)
    const matching = [...patterns].find(([, pattern]) => pattern.test(path))?.[0]
    const allowed = methods.get(path) ?? methods.get(matching ?? '')
    if (allowed === undefined) sendNotFound(reply)
    else
      reply
        .code(405)
        .header('allow', [...allowed].sort())
        .send()
  }
  app.setNotFoundHandler(answer)
  return answer
}

/** The paths of a route with parameters (`:name`) or with anything at its end (`*`). */
function patternOf(path: string): RegExp {
  const source = path
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:[^/]+/g, '[^/]+')
    .replace(/\*/g, '.*')
  return new RegExp(`^${source}$`, 's')
}

/** The answer for a path that does not exist. */
export function sendNotFound(reply: FastifyReply): void {
  reply
    .code(404)
    .header('content-type', 'text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send('404 page not found\n')
}

/** The cast: Fastify leaves the type of `config` to the routes. */
function pathsOf(config: unknown): readonly string[] | undefined {
  return (config as Partial<ServedPaths> | undefined)?.paths
}
