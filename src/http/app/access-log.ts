import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { copiedText } from '../../lib/copied-text.ts'
import type { Log } from '../../log.ts'
import { readFileQuery } from '../transfer/file-query.ts'
import { pathOf } from './path.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The request is logged by what answers it: an RPC. */
    loggedElsewhere: boolean
  }
}

/** Asked for every few seconds by monitoring; logged only if they fail. */
const QUIET_PATHS = new Set(['/health', '/metrics', '/ready'])

/** Characters of a path in a line; a request may have 16 KiB of it. */
const MAX_PATH_LENGTH = 512

/**
 * Logs one line for each request when it is over, also for those that were refused or whose client left, unless it is
 * `loggedElsewhere`. Of the query the path of a file is shown, and never more: it holds signatures.
 */
export function logRequests(app: FastifyInstance, log: Log): void {
  const fileLog = log.named('filesystem')
  app.decorateRequest('loggedElsewhere', false)
  app.addHook('onRequest', (request, reply, done) => {
    const started = performance.now()
    let sent = false
    reply.raw.on('finish', () => {
      sent = true
    })
    reply.raw.on('close', () => {
      const path = pathOf(request.url)
      const status = reply.raw.statusCode
      if (request.loggedElsewhere || (QUIET_PATHS.has(path) && status < 400)) return
      const ms = Math.round((performance.now() - started) * 1000) / 1000
      const common = { operation_id: request.id, method: request.method, status, ms, sent }
      const fields = { ...common, path: copiedText(path, MAX_PATH_LENGTH), ...sizesOf(request, reply) }
      if (path.startsWith('/files')) fileLog.debug({ ...fields, file: fileOf(request) }, 'request')
      else log.debug(fields, 'request')
    })
    done()
  })
}

/** As announced by either side; undefined where only the end shows it. */
function sizesOf(request: FastifyRequest, reply: FastifyReply) {
  return {
    request_bytes: size(request.headers['content-length']),
    response_bytes: reply.raw.headersSent ? size(reply.raw.getHeader('content-length')) : undefined,
  }
}

function size(header: unknown): number | undefined {
  const value = Number(header ?? Number.NaN)
  return Number.isSafeInteger(value) ? value : undefined
}

function fileOf(request: FastifyRequest): string | undefined {
  try {
    const { path } = readFileQuery(request.url)
    return path === undefined ? undefined : copiedText(path, MAX_PATH_LENGTH)
  } catch {
    return undefined
  }
}
