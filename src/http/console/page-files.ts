import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { FastifyInstance, FastifyReply, FastifyServerOptions } from 'fastify'
import { sendNotFound } from '../app/not-found.ts'
import { PAGE_HEADERS } from './page-headers.ts'

/** Serves the files of the console's page. */
export interface PageFiles {
  /** Answers GET and HEAD of what is below `/console/`. */
  serve(request: IncomingMessage, response: ServerResponse): void
}

const INDEX = 'index.html'

/** Names of all other files contain a hash of their content. */
const IMMUTABLE = 'public, max-age=31536000, immutable'

/**
 * Makes an app of its own for the files of a build of `src/console`, as the plugin cannot be added to one that serves
 * already. Compressed siblings that the build made are sent to clients that take them.
 * @param root the directory of the build.
 * @param createApp makes an app without logger and parsers.
 * Rejects as readFile does where there is no build.
 */
export async function loadPageFiles(
  root: string,
  createApp: (options: FastifyServerOptions) => FastifyInstance,
): Promise<PageFiles> {
  const tag = entityTag(await readFile(join(root, INDEX)))
  const { default: serveStatic } = await import('@fastify/static')
  const app = createApp({})
  app.setNotFoundHandler((_request, reply) => sendNotFound(reply))
  app.setErrorHandler((_error, _request, reply) => sendNotFound(reply))
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(PAGE_HEADERS)
    if (!isIndex(request.url) || request.headers['if-none-match'] === undefined) return done()
    if (!matches(request.headers['if-none-match'], tag)) return done()
    indexHeaders(reply, tag)
    reply.code(304).header('vary', 'Origin, Accept-Encoding').send()
  })
  app.register(serveStatic, {
    ...{ root, prefix: '/console/', index: [INDEX], dotfiles: 'deny', preCompressed: true },
    ...{ cacheControl: false, lastModified: false, acceptRanges: false },
    setHeaders: (response, path) => {
      const reply = response as FastifyReply
      // A tag of its content, not of its size and time, which may be those of another build.
      if (path.startsWith(join(root, INDEX))) indexHeaders(reply, tag)
      else reply.header('cache-control', IMMUTABLE)
    },
  })
  await app.ready()
  return { serve: (request, response) => app.routing(request, response) }
}

function indexHeaders(reply: FastifyReply, tag: string): void {
  reply.header('cache-control', 'no-cache').header('etag', tag)
}

function isIndex(url: string): boolean {
  return /^\/console\/(index\.html)?(\?|$)/.test(url)
}

/** Weak: the same for every encoding (RFC 9110 8.8.3.3). */
function entityTag(content: Buffer): string {
  return `W/"${createHash('sha256').update(content).digest('base64url').slice(0, 22)}"`
}

/** Of `If-None-Match`, by the weak comparison (RFC 9110 13.1.2). */
function matches(condition: string, tag: string): boolean {
  return condition.split(',').some((part) => part.trim() === '*' || part.trim().replace(/^(?!W\/)/, 'W/') === tag)
}
