import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import { composeFiles } from '../../filesystem/compose.ts'
import { pump } from '../../lib/pump.ts'
import { fromUtf8 } from '../../lib/utf8.ts'
import type { Defaults } from '../../system/defaults.ts'
import type { Users } from '../../system/users.ts'
import { discardRest } from '../discard-rest.ts'
import { fileUserName, findFileUser, resolveFilePath } from '../file-user.ts'

/** What the compose route needs. */
export interface ComposeDeps {
  readonly users: Users
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
}

/** Room for some ten thousand paths. */
const MAX_BODY_BYTES = 1024 * 1024
const BODY_IDLE_MS = 60_000

interface ComposeRequest {
  readonly sourcePaths: readonly string[]
  readonly destination: string
  readonly username: string | undefined
}

/** `POST /files/compose` (contract B51 to B55): joins files into one and deletes them. Expects an app that leaves bodies unread. */
export function composeRoutes(deps: ComposeDeps): (app: FastifyInstance) => void {
  return (app) => {
    app.post('/files/compose', async (request, reply) => {
      const { sourcePaths, destination, username } = parseRequest(await readBody(request))
      const user = await findFileUser(deps.users, fileUserName(username, deps.defaults.user))
      const resolve = (path: string, what: string) =>
        resolveFilePath(path, { user, workdir: deps.defaults.workdir, what })
      const path = resolve(destination, 'error resolving destination path')
      const sources = sourcePaths.map((given) => ({
        given,
        resolve: () => resolve(given, `error resolving source path ${JSON.stringify(given)}`),
      }))
      const stored = await composeFiles({ sources, path, owner: user })
      return reply.header('content-type', 'application/json').send(`${JSON.stringify(stored)}\n`)
    })
  }
}

async function readBody(request: FastifyRequest): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  const sink = {
    write: (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      return size > MAX_BODY_BYTES ? Promise.reject(invalid(`larger than ${MAX_BODY_BYTES} bytes`)) : undefined
    },
    end: () => Promise.resolve(),
  }
  try {
    await pump(request.raw, sink, { idleMs: BODY_IDLE_MS })
  } catch (error) {
    discardRest(request.raw)
    if (error instanceof AppError) throw error
    throw invalid(error instanceof Error ? error.message : 'unreadable')
  }
  return Buffer.concat(chunks)
}

/** Checks in the order of contract B51. */
function parseRequest(body: Buffer): ComposeRequest {
  const given = parseJson(body)
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

function parseJson(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(fromUtf8(body))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (error) {
    throw invalid(body.toString('latin1').trim() === '' ? 'EOF' : String(error))
  }
  throw invalid('not an object')
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', `invalid request body: ${problem}`)
}
