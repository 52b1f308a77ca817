import type { FastifyInstance, FastifyReply } from 'fastify'
import { pathOf } from './path.ts'

/** In the `config` of a route with parameters: the paths that it serves. For others it calls `reply.callNotFound()`. */
export interface ServedPaths {
  readonly paths: readonly string[]
}

/**
 * Answers what no route takes (contract A18): 405 with one `Allow` header per method when the path exists, else 404. To
 * be called before the routes are registered, as it notes their methods.
 */
export function answerUnrouted(app: FastifyInstance): void {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method, config }) => {
    for (const path of pathsOf(config) ?? [url]) {
      const known = methods.get(path) ?? new Set()
      methods.set(path, known)
      for (const name of [method].flat()) known.add(name)
    }
  })
  app.setNotFoundHandler((request, reply) => {
    const allowed = methods.get(pathOf(request.url))
    if (allowed === undefined) sendNotFound(reply)
    else
      reply
        .code(405)
        .header('allow', [...allowed].sort())
        .send()
  })
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
