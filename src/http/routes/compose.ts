import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import { composeFiles, JOIN_BYTES } from '../../filesystem/compose.ts'
import { createFileUsers } from '../../filesystem/file-user.ts'
import type { FilesystemDeps } from '../../filesystem/service.ts'
import { readJson } from '../../json/read-json.ts'
import { EVERYTHING } from '../../json/shape.ts'
import type { RequestBodies } from '../body/request-bodies.ts'
import { clientGone } from '../server/client-gone.ts'
import { connectionOf } from '../server/connection.ts'
import { preconditionOf } from '../transfer/conditions.ts'
import { fileUserName, findFileUser, resolveFilePath } from '../transfer/file-user.ts'

interface ComposeDeps extends FilesystemDeps {
  readonly bodies: RequestBodies
}

/** Room for some ten thousand paths. */
const MAX_BODY_BYTES = 1024 * 1024

/** Limits of the JSON with the paths; all of the body may be text. */
const LIMITS = { depth: 16, values: 64 * 1024, text: MAX_BODY_BYTES }

interface ComposeRequest {
  readonly sourcePaths: readonly string[]
  readonly destination: string
  readonly username: string | undefined
}

/**
 * `POST /files/compose` (contract B51 to B55): joins files into one and deletes them. Expects an app that leaves bodies
 * unread.
 */
export function composeRoutes(deps: ComposeDeps): (app: FastifyInstance) => void {
  const fileUser = createFileUsers(deps.users, deps.strictFileUsers)
  return (app) => {
    app.post('/files/compose', async (request, reply) => {
      const { sourcePaths, destination, username } = await readRequest(request, reply, deps.bodies)
      const user = await fileUser(await findFileUser(deps.users, fileUserName(username, deps.defaults.user)))
      const resolve = (path: string, what: string) =>
        resolveFilePath(path, { user, workdir: deps.defaults.workdir, what })
      const path = resolve(destination, 'error resolving destination path')
      const sources = sourcePaths.map((given) => ({
        given,
        resolve: () => resolve(given, `error resolving source path ${JSON.stringify(given)}`),
      }))
      const condition = preconditionOf(request.headers)
      const hold = deps.budget.hold('upload', { connection: connectionOf(request.raw), user: user.name })
      try {
        hold.grow(JOIN_BYTES + sourcePaths.reduce((sum, { length }) => sum + length, 0))
        const { file, tag } = await composeFiles({
          sources,
          path,
          owner: user,
          condition,
          signal: clientGone(reply.raw),
        })
        if (tag !== undefined) reply.header('etag', tag)
        return reply.header('content-type', 'application/json').send(`${JSON.stringify(file)}\n`)
      } finally {
        hold.release()
      }
    })
  }
}

async function readRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  bodies: RequestBodies,
): Promise<ComposeRequest> {
  const signal = clientGone(reply.raw)
  const memory = bodies.memoryFor(request.raw, 'body')
  try {
    const body = await bodies.read(request.raw, { limit: MAX_BODY_BYTES, memory, signal })
    memory.count(body.length)
    return parseRequest(await parseJson(body, signal))
  } finally {
    memory.release()
  }
}

/** Checks in the order of contract B51. */
function parseRequest(given: Record<string, unknown>): ComposeRequest {
  const { source_paths: sourcePaths = [], destination = '', username } = given
  if (!isStrings(sourcePaths)) throw invalid('source_paths must be a list of strings')
  if (typeof destination !== 'string') throw invalid('destination must be a string')
  if (username !== undefined && username !== null && typeof username !== 'string') {
    throw invalid('username must be a string')
  }
  if (sourcePaths.length === 0) throw new AppError('invalid_argument', 'source_paths must not be empty')
  if (destination === '') throw new AppError('invalid_argument', 'destination is required')
  return { sourcePaths, destination, username: username ?? undefined }
}

async function parseJson(body: Buffer, signal: AbortSignal): Promise<Record<string, unknown>> {
  if (body.toString('latin1').trim() === '') throw invalid('EOF')
  const value = await readJson(body, EVERYTHING, { limits: LIMITS, signal }).catch((error) => {
    throw error instanceof AppError || signal.aborted ? error : invalid(String(error))
  })
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw invalid('not an object')
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', `invalid request body: ${problem}`)
}
