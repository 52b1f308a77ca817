import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, errnoOf } from '../../errors.ts'
import { loopTurns } from '../../lib/turns.ts'
import { createFastify } from '../app/fastify.ts'
import type { PageFiles } from '../console/page-files.ts'
import { PAGE_HEADERS } from '../console/page-headers.ts'

/**
 * Answers under way, in sum: the page needs no token, and each holds a descriptor and a piece of a file. A browser asks
 * for some ten files at once.
 */
const MAX_ANSWERS = 64

/** For one file, the largest of which has some hundred KiB: a client that is slower is given up. */
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
  let files: Promise<PageFiles> | undefined
  let answers = 0
  const load = async () => {
    files ??= import('../console/page-files.ts').then(({ loadPageFiles }) => loadPageFiles(root, createFastify))
    files.catch(() => {
      files = undefined
    })
    return files
  }
  const serve = async (request: FastifyRequest, reply: FastifyReply) => {
    if (answers >= MAX_ANSWERS) throw new AppError('budget_spent', 'too many files of the console are being sent')
    answers++
    const late = setTimeout(() => reply.raw.destroy(), ANSWER_MS)
    reply.raw.once('close', () => {
      answers--
      clearTimeout(late)
    })
    const { serve } = await load().catch((error: unknown) => Promise.reject(withoutPage(error)))
    // All that wait for the page to be loaded would be served in one turn of the event loop.
    await loopTurns.next(request.raw)
    reply.hijack()
    serve(request.raw, reply.raw)
    return reply
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
