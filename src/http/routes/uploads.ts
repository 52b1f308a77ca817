import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Hold } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import { createFileUsers } from '../../filesystem/file-user.ts'
import { checkMetadata } from '../../filesystem/metadata.ts'
import { shownToken } from '../../init/access-token.ts'
import { leftOf } from '../../uploads/expiry.ts'
import { isFinished, type UploadRecord } from '../../uploads/record.ts'
import type { Uploads } from '../../uploads/uploads.ts'
import { checkFileAccess } from '../access/signature.ts'
import { pathOf } from '../app/path.ts'
import { withDecodedBody } from '../body/decoded-body.ts'
import { clientGone } from '../server/client-gone.ts'
import { connectionOf } from '../server/connection.ts'
import { discardRest } from '../server/discard-rest.ts'
import { type FileQuery, readFileQuery } from '../transfer/file-query.ts'
import { newUploadOf } from '../transfer/new-upload.ts'
import {
  bytesOf,
  checksumOf,
  checkTusVersion,
  concatOf,
  TUS_ALGORITHMS,
  TUS_EXPOSED,
  TUS_EXTENSIONS,
  TUS_VERSION,
} from '../transfer/tus-headers.ts'
import { checkPiece, contentOf, lengthOf, saidLength } from '../transfer/tus-pieces.ts'
import type { FilesDeps } from './files.ts'

interface UploadsDeps extends Omit<FilesDeps, 'compressors' | 'log' | 'archiveLimits'> {
  readonly uploads: Uploads
}

/** What a request holds beside what it has read ahead. */
const UPLOAD_BYTES = 32 * 1024

/**
 * `/uploads`: resumable uploads by the tus protocol 1.0.0. Expects an app that leaves bodies unread, and lets requests
 * without a token through: the routes check token and signature as `/files` does.
 */
export function uploadsRoutes(deps: UploadsDeps): (app: FastifyInstance) => void {
  return (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('tus-resumable', TUS_VERSION)
      if (request.headers.origin !== undefined) expose(reply)
      done()
    })
    app.options('/uploads', (_request, reply) =>
      reply
        .code(204)
        .header('tus-version', TUS_VERSION)
        .header('tus-extension', TUS_EXTENSIONS)
        .header('tus-checksum-algorithm', TUS_ALGORITHMS)
        .header('tus-max-size', deps.uploads.maxLength)
        .send(),
    )
    app.post('/uploads', (request, reply) => answer(request, reply, { deps, act: create }))
    const one = (act: Act) => (request: FastifyRequest, reply: FastifyReply) => answer(request, reply, { deps, act })
    app.head('/uploads/:id', one(status))
    app.patch('/uploads/:id', one(append))
    app.delete('/uploads/:id', one(remove))
    // For clients, and proxies, that know no other method.
    app.post('/uploads/:id', (request, reply) => {
      const act = OVERRIDDEN.get(String(request.headers['x-http-method-override']).toUpperCase())
      if (act === undefined)
        throw new AppError('invalid_argument', 'x-http-method-override must be PATCH, DELETE or HEAD')
      return one(act)(request, reply)
    })
  }
}

/** One request whose version and access were checked. */
interface Asked {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly deps: UploadsDeps
  readonly query: FileQuery
  /** Was let in by its signature alone. */
  readonly signed: boolean
}

type Act = (asked: Asked) => Promise<FastifyReply>

const OVERRIDDEN: ReadonlyMap<string, Act> = new Map([
  ['PATCH', append],
  ['DELETE', remove],
  ['HEAD', status],
])

async function answer(
  request: FastifyRequest,
  reply: FastifyReply,
  { deps, act }: { readonly deps: UploadsDeps; readonly act: Act },
): Promise<FastifyReply> {
  const ended = deps.onTransfer?.('upload')
  try {
    if (request.headers['tus-resumable'] !== TUS_VERSION) reply.header('tus-version', TUS_VERSION)
    checkTusVersion(request.headers)
    const query = readFileQuery(request.url)
    return await act({ request, reply, deps, query, signed: checkAccess(request, query, deps) })
  } finally {
    ended?.()
    discardRest(request.raw)
  }
}

async function create(asked: Asked): Promise<FastifyReply> {
  const { request, reply, deps, query, signed } = asked
  const { headers } = request
  const concat = concatOf(headers)
  const joins = typeof concat === 'object'
  const known = joins ? 0 : lengthOf(request)
  const content = contentOf(request, known)
  const length = known ?? 0
  const fileUser = createFileUsers(deps.users, deps.strictFileUsers)
  const context = { ...deps, fileUser, query, signed, length, partial: concat === 'partial' }
  const upload = await newUploadOf(request.raw, context)
  checkMetadata(new Map(Object.entries(upload.metadata)))
  return withHold(asked, upload.user, async (hold) => {
    let made = joins
      ? await join(asked, { parts: concat.parts, upload, hold })
      : await deps.uploads.create({ ...upload, deferred: known === undefined || undefined }, hold)
    reply.code(201).header('location', locationOf(made, asked))
    const whole = !joins && (known === 0 || content > 0)
    await using _kept = keptIfTold(made, asked)
    if (whole) made = await receive(asked, { id: made.id, offset: 0, hold })
    if (whole || joins) describe(reply, made)
    return expiring(reply, made).send()
  })
}

/** At its end removes an upload whose client has left without its URL. A complete file stays in its place. */
function keptIfTold({ id }: UploadRecord, { request, reply, deps }: Asked): AsyncDisposable {
  const gone = clientGone(reply.raw)
  return {
    [Symbol.asyncDispose]: async () => {
      // The body is cut off before the response is.
      if (gone.aborted || request.raw.readableAborted) await deps.uploads.remove(id).catch(() => {})
    },
  }
}

async function join(
  asked: Asked,
  { parts, upload, hold }: { parts: readonly string[]; upload: Parameters<Uploads['create']>[0]; hold: Hold },
): Promise<UploadRecord> {
  for (const id of parts) await find(asked, id)
  return asked.deps.uploads.join(parts, upload, { hold, signal: clientGone(asked.reply.raw) })
}

async function status(asked: Asked): Promise<FastifyReply> {
  const { reply, deps } = asked
  const found = await find(asked, idOf(asked))
  return withHold(asked, found.user, async (hold) => {
    const upload = await deps.uploads.look(found.id, hold)
    const { length, deferred, uploadMetadata, concat } = upload
    if (uploadMetadata !== undefined) reply.header('upload-metadata', uploadMetadata)
    if (concat !== undefined) reply.header('upload-concat', concat)
    if (deferred) reply.header('upload-defer-length', '1')
    else reply.header('upload-length', length)
    return expiring(describe(reply, upload), upload)
      .code(200)
      .header('cache-control', 'no-store')
      .header('content-length', 0)
      .send()
  })
}

async function append(asked: Asked): Promise<FastifyReply> {
  const { request, reply } = asked
  const found = await find(asked, idOf(asked))
  const offset = bytesOf(request.headers, 'upload-offset')
  // One that does not follow what has come is 409, whatever its length.
  const length = saidLength(request, found.deferred === true).total ?? (found.deferred ? undefined : found.length)
  checkPiece(request, length !== undefined && offset === found.offset ? length - offset : length)
  return withHold(asked, found.user, async (hold) => {
    const upload = await receive(asked, { id: found.id, offset, hold })
    return expiring(describe(reply, upload), upload).code(204).send()
  })
}

async function remove(asked: Asked): Promise<FastifyReply> {
  const { id } = await find(asked, idOf(asked))
  await asked.deps.uploads.remove(id)
  return asked.reply.code(204).send()
}

function receive(
  { request, deps }: Asked,
  { id, offset, hold }: { readonly id: string; readonly offset: number; readonly hold: Hold },
): Promise<UploadRecord> {
  const checksum = checksumOf(request.headers)
  const idleMs = deps.bodies.stallMs
  return withDecodedBody(request.raw, { encoding: 'identity', idleMs }, ({ stream, signal }) =>
    deps.uploads.append(id, {
      source: stream,
      offset,
      checksum,
      said: saidLength(request, false),
      signal,
      idleMs,
      hold,
    }),
  )
}

/** The upload, if the request may know it: a signature is for one path and user. Rejects with AppError not_found. */
async function find({ deps, query, signed }: Asked, id: string): Promise<UploadRecord> {
  const upload = await deps.uploads.find(id)
  const { path = '', username = '' } = query
  const isMeant =
    upload !== undefined && (!signed || (upload.asked.path === path && upload.asked.username === username))
  if (!isMeant) throw new AppError('not_found', 'there is no such upload, or it has expired')
  return upload
}

function idOf({ request }: Asked): string {
  return pathOf(request.url).slice('/uploads/'.length)
}

async function withHold(
  { request, deps }: Asked,
  user: string,
  use: (hold: Hold) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const hold = deps.budget.hold('upload', { connection: connectionOf(request.raw), user })
  try {
    hold.grow(UPLOAD_BYTES)
    return await use(hold)
  } finally {
    hold.release()
  }
}

function checkAccess(request: FastifyRequest, query: FileQuery, { token }: UploadsDeps): boolean {
  const signed = {
    operation: 'write' as const,
    path: query.path ?? '',
    username: query.username ?? '',
    signature: query.signature,
    expiration: query.signatureExpiration,
    header: shownToken(request.raw.rawHeaders),
  }
  return checkFileAccess(token, signed, Math.floor(Date.now() / 1000))
}

/** Who came by a signature comes again by it. */
function locationOf({ id }: UploadRecord, { signed, query }: Asked): string {
  if (!signed) return `/uploads/${id}`
  const { path, username, signature, signatureExpiration } = query
  const pairs = { path, username, signature, signature_expiration: signatureExpiration?.toString() }
  const text = new URLSearchParams()
  for (const [name, value] of Object.entries(pairs)) if (value !== undefined) text.set(name, value)
  return `/uploads/${id}?${text}`
}

function describe(reply: FastifyReply, { offset, tag }: UploadRecord): FastifyReply {
  if (tag !== undefined) reply.header('etag', tag)
  return reply.header('upload-offset', offset)
}

function expiring(reply: FastifyReply, upload: UploadRecord): FastifyReply {
  if (isFinished(upload)) return reply
  return reply.header('upload-expires', new Date(Date.now() + leftOf(upload)).toUTCString())
}

function expose(reply: FastifyReply): void {
  const exposed = reply.raw.getHeader('access-control-expose-headers')
  if (exposed !== undefined) reply.raw.setHeader('access-control-expose-headers', `${exposed}, ${TUS_EXPOSED}`)
}
