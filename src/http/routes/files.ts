import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ArchiveLimits, DEFAULT_ARCHIVE_LIMITS } from '../../archives/limits.ts'
import type { Hold } from '../../budget/budget.ts'
import { type ContentTypes, createContentTypes } from '../../filesystem/content-types.ts'
import { createFileUsers, type FileUser, type FileUsers } from '../../filesystem/file-user.ts'
import { checkMetadata, type Metadata } from '../../filesystem/metadata.ts'
import type { FilesystemDeps } from '../../filesystem/service.ts'
import type { Stored } from '../../filesystem/upload.ts'
import { type AccessToken, shownToken } from '../../init/access-token.ts'
import type { Log } from '../../log.ts'
import { checkFileAccess } from '../access/signature.ts'
import { type BodyEncoding, bodyEncodingOf, DECODER_BYTES, withDecodedBody } from '../body/decoded-body.ts'
import { smallBody } from '../body/read-body.ts'
import type { RequestBodies } from '../body/request-bodies.ts'
import { connectionOf } from '../server/connection.ts'
import { discardRest } from '../server/discard-rest.ts'
import { holdAnswer } from '../server/hold-answer.ts'
import type { Compressors } from '../transfer/compressors.ts'
import { type FileQuery, readFileQuery } from '../transfer/file-query.ts'
import { fileUserName, findFileUser, resolveFilePath } from '../transfer/file-user.ts'
import { metadataOf } from '../transfer/metadata-headers.ts'
import { archiveEncodingOf, archiveOptionsOf, receiveArchive } from '../transfer/receive-archive.ts'
import { receiveUpload, type Upload, unsupportedType } from '../transfer/receive-upload.ts'
import { sendFile } from '../transfer/send-file.ts'
import { sendTree } from '../transfer/send-tree.ts'
import { storedList } from '../transfer/stored-list.ts'
import { writeOptionsOf } from '../transfer/write-options.ts'

export interface FilesDeps extends FilesystemDeps {
  readonly token: AccessToken
  readonly compressors: Compressors
  readonly log: Log
  readonly bodies: Pick<RequestBodies, 'stallMs'>
  /** Of archives that are unpacked; default: `DEFAULT_ARCHIVE_LIMITS`. */
  readonly archiveLimits?: ArchiveLimits
  /** Called as a transfer begins; what it returns, at its end. */
  readonly onTransfer?: (direction: 'upload' | 'download') => () => void
}

/**
 * `GET /files` and `POST /files` (contract B4 to B50): downloads and uploads of any size, in constant memory. Expects
 * an app that leaves bodies unread.
 */
export function filesRoutes(deps: FilesDeps): (app: FastifyInstance) => void {
  const contentTypes = createContentTypes()
  const fileUser = createFileUsers(deps.users, deps.strictFileUsers)
  return (app) => {
    app.setErrorHandler(asUnsupportedType)
    app.get('/files', { exposeHeadRoute: false }, (request, reply) => {
      const ended = deps.onTransfer?.('download')
      if (ended !== undefined) reply.raw.once('close', ended)
      return download(request, reply, { deps, contentTypes, fileUser })
    })
    app.post('/files', async (request, reply) => {
      const ended = deps.onTransfer?.('upload')
      try {
        return await upload(request, reply, { deps, fileUser })
      } finally {
        ended?.()
        discardRest(request.raw)
      }
    })
  }
}

/** A content type that is none at all is refused by Fastify, before the route, in words of its own (contract B31). */
function asUnsupportedType(error: unknown, request: FastifyRequest): never {
  if (error instanceof Error && 'code' in error && error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    throw unsupportedType(request.headers['content-type'])
  }
  throw error
}

async function download(
  request: FastifyRequest,
  reply: FastifyReply,
  { deps, contentTypes, fileUser }: Uploads & { readonly contentTypes: ContentTypes },
): Promise<FastifyReply> {
  const query = readFileQuery(request.url)
  checkAccess(request, query, { deps, operation: 'read' })
  const user = await fileUser(await findFileUser(deps.users, fileUserName(query.username, deps.defaults.user)))
  const what = `error expanding and resolving path '${query.path ?? ''}'`
  const path = resolveFilePath(query.path ?? '', { user, workdir: deps.defaults.workdir, what })
  const hold = deps.budget.hold('download', { connection: connectionOf(request.raw), user: user.name })
  const { users, compressors, log } = deps
  if (await sendTree(request, reply, { path, user, query, compressors, hold, users, log })) return reply
  return sendFile(request, reply, { path, user, contentTypes, compressors: deps.compressors, hold, log: deps.log })
}

/** Memory of an upload beside what it has read ahead: request, response, and the chunk that has just come. */
const UPLOAD_BYTES = 32 * 1024

interface Uploads {
  readonly deps: FilesDeps
  readonly fileUser: FileUsers
}

async function upload(
  request: FastifyRequest,
  reply: FastifyReply,
  { deps, fileUser }: Uploads,
): Promise<FastifyReply> {
  const query = readFileQuery(request.url)
  const signed = checkAccess(request, query, { deps, operation: 'write' })
  const userName = fileUserName(query.username, deps.defaults.user)
  const archive = archiveEncodingOf(request.headers['content-type'])
  const encoding = bodyEncodingOf(request.headers['content-encoding'], archive !== undefined)
  const user = await fileUser(await findFileUser(deps.users, userName))
  const metadata = metadataOf(request.raw.rawHeaders)
  checkMetadata(metadata)
  if (archive !== undefined)
    return uploadArchive(request, reply, { deps, query, user, signed, metadata, encodings: [encoding, archive] })
  const options = writeOptionsOf(query, { headers: request.headers, signed, isRoot: user.uid === 0 })
  const hold = deps.budget.hold('upload', { connection: connectionOf(request.raw), user: user.name })
  try {
    hold.grow(UPLOAD_BYTES + DECODER_BYTES[encoding])
    const resolve = (path: string) =>
      resolveFilePath(path, { user, workdir: deps.defaults.workdir, what: 'error resolving path' })
    const stored = await store(request, {
      ...{ encoding, path: query.path, signed, resolve, idleMs: deps.bodies.stallMs },
      target: { ...options, owner: user, metadata, announcedBytes: announcedBytes(request), log: deps.log, hold },
    })
    const [only, ...others] = stored
    if (only?.tag !== undefined && others.length === 0) reply.header('etag', only.tag)
    const list = await storedList(stored)
    holdAnswer(list.length, { request: request.raw, response: reply.raw, budget: deps.budget })
    return reply.header('content-type', 'application/json').send(list)
  } finally {
    hold.release()
  }
}

interface ArchiveUpload {
  readonly deps: FilesDeps
  readonly query: FileQuery
  readonly user: FileUser
  readonly signed: boolean
  readonly metadata: Metadata
  readonly encodings: readonly [BodyEncoding, BodyEncoding]
}

async function uploadArchive(
  request: FastifyRequest,
  reply: FastifyReply,
  { deps, query, user, signed, metadata, encodings }: ArchiveUpload,
): Promise<FastifyReply> {
  const sender = { headers: request.headers, hasMetadata: metadata.size > 0, signed, isRoot: user.uid === 0 }
  const options = archiveOptionsOf(query, sender)
  const { workdir } = deps.defaults
  const path = resolveFilePath(query.path ?? '', { user, workdir, what: 'error resolving path' })
  const hold: Hold = deps.budget.hold('upload', { connection: connectionOf(request.raw), user: user.name })
  try {
    hold.grow(UPLOAD_BYTES + DECODER_BYTES[encodings[0]] + DECODER_BYTES[encodings[1]])
    const { archiveLimits: limits = DEFAULT_ARCHIVE_LIMITS, bodies, log } = deps
    const receiving = { ...options, path, owner: user, limits, idleMs: bodies.stallMs, encodings, hold, log }
    const client = reply.raw
    return reply.send(await receiveArchive(request.raw, { ...receiving, client }))
  } finally {
    hold.release()
  }
}

const nothing = Promise.resolve(undefined)

type Storing = Pick<Upload, 'path' | 'signed' | 'resolve' | 'target' | 'idleMs'> & { readonly encoding: BodyEncoding }

function store({ headers, raw }: FastifyRequest, { encoding, ...how }: Storing): Promise<Stored[]> {
  return withDecodedBody(raw, { encoding, idleMs: how.idleMs }, ({ stream, signal }) =>
    receiveUpload(stream, {
      ...how,
      contentType: headers['content-type'],
      arrived: () => (stream === raw ? smallBody(raw) : nothing),
      signal,
    }),
  )
}

function checkAccess(
  request: FastifyRequest,
  query: FileQuery,
  { deps, operation }: { readonly deps: FilesDeps; readonly operation: 'read' | 'write' },
): boolean {
  const signed = {
    operation,
    path: query.path ?? '',
    username: query.username ?? '',
    signature: query.signature,
    expiration: query.signatureExpiration,
    header: shownToken(request.raw.rawHeaders),
  }
  return checkFileAccess(deps.token, signed, Math.floor(Date.now() / 1000))
}

function announcedBytes(request: FastifyRequest): number | undefined {
  const length = Number(request.headers['content-length'])
  return Number.isSafeInteger(length) && length > 0 ? length : undefined
}
