import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, errnoOf } from '../../errors.ts'
import { loopTurns } from '../../lib/turns.ts'
import { sendNotFound } from '../app/not-found.ts'
import { pathOf } from '../app/path.ts'
import { isKnown, loadPageFiles, type PageFiles } from '../console/page-files.ts'
import { PAGE_HEADERS } from '../console/page-headers.ts'

/**
 * Bytes of answers on their way, in sum: the page needs no token, and what a client does not read waits in the kernel.
 * A browser asks for some ten files at once, of 300 KB.
 */
const MAX_BYTES = 16 * 1024 * 1024

/** Milliseconds for one file, the largest of which has some hundred KiB: a client that is slower is given up. */
const ANSWER_MS = 60_000

/** Beside the bundle; where the daemon's sources run, in `dist`. */
const ROOT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../../dist/console' : './console', import.meta.url),
)

/**
 * `GET /console/…`: the page that shows and drives the sandbox. It contains nothing secret and needs no token; what it
 * calls does. Nothing of it is loaded before the first request. Where the build has no page, 404 says so.
 * @param root the directory of the build of `src/console`.
 */
export function consoleRoute(app: FastifyInstance, root = ROOT): void {
  let files: PageFiles | undefined
  let loading: Promise<PageFiles> | undefined
  let sent = 0
  const load = async () => {
    loading ??= loadPageFiles(root)
    try {
      files = await loading
      return files
    } catch (error) {
      loading = undefined
      throw withoutPage(error)
    }
  }
  const count = (bytes: number, response: ServerResponse) => {
    if (sent + bytes > MAX_BYTES) throw new AppError('budget_spent', 'too many files of the console are being sent')
    sent += bytes
    const late = setTimeout(() => response.destroy(), ANSWER_MS)
    response.once('close', () => {
      sent -= bytes
      clearTimeout(late)
    })
  }
  const serve = async (request: FastifyRequest, reply: FastifyReply) => {
    const { find } = files ?? (await load())
    const found = find(pathOf(request.url).slice('/console/'.length), request.headers)
    reply.headers(PAGE_HEADERS)
    if (found === undefined) return sendNotFound(reply)
    const file = await found
    // All that wait for a file to be read would be answered in one turn of the event loop.
    if (file !== found) await loopTurns.next(request.raw)
    const known = isKnown(file, request.headers['if-none-match'])
    if (!known && request.method === 'GET') count(file.content.length, reply.raw)
    reply.headers(file.headers)
    return known ? reply.code(304).send() : reply.send(file.content)
  }
  app.route({ method: ['GET', 'HEAD'], url: '/console/*', handler: serve })
  app.route({
    method: ['GET', 'HEAD'],
    url: '/console',
    // Relative, so that it is right behind a proxy that serves the daemon below a path.
    handler: (_request, reply) => reply.code(308).headers(PAGE_HEADERS).header('location', 'console/').send(),
  })
}

function withoutPage(error: unknown): unknown {
  if (errnoOf(error) !== 'ENOENT') return error
  return new AppError('not_found', 'this build of the daemon has no console: dist/console is missing')
}
