import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { archiveTree, TREE_BYTES } from '../../archives/archive-tree.ts'
import { zipOfTar } from '../../archives/zip-tree.ts'
import type { Hold } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import type { FileUser } from '../../filesystem/file-user.ts'
import { openTreeRoot } from '../../filesystem/tree-root.ts'
import { baseName, cleanPath } from '../../lib/clean-path.ts'
import { errorFields } from '../../lib/error-fields.ts'
import { Places } from '../../lib/places.ts'
import { parseWeightedList } from '../../lib/weighted-list.ts'
import { withoutTrailing } from '../../lib/without-trailing.ts'
import type { Log } from '../../log.ts'
import { closeFile } from '../../native/file-calls.ts'
import { packOwners } from '../../native/tree.ts'
import type { Users } from '../../users/users.ts'
import { createExclude, rulesOfFile } from '../../watch/exclude.ts'
import { clientGone } from '../server/client-gone.ts'
import { takeOver } from '../server/take-over.ts'
import { COMPRESSOR_BYTES, type Compression, type Compressors } from './compressors.ts'
import { inlineDisposition } from './content-disposition.ts'
import { type FileQuery, stripOf } from './file-query.ts'

/** Trees that are sent at once, over all clients: each reads the disk as fast as its client takes it. */
const MAX_TREES = 4
/** Memory of a piece, or of what it is a view of, that is waited for until the kernel has it (`freeNow`). */
const LARGE_PIECE_BYTES = 16 * 1024
/** Bytes of the names of what was left out, in the trailer. */
const MAX_TRAILER_BYTES = 4096

/** A format; `zip` is compressed by file. */
interface Format {
  readonly type: string
  readonly compression?: Compression
  readonly zip?: boolean
}

const FORMATS = new Map<string, Format>([
  ['tar', { type: 'application/x-tar' }],
  ['tar.gz', { type: 'application/gzip', compression: 'gzip' }],
  ['tar.zst', { type: 'application/zstd', compression: 'zstd' }],
  ['zip', { type: 'application/zip', zip: true }],
])

const places = new Places(MAX_TREES)

/** A request for a tree. */
interface TreeToSend {
  /** Absolute. */
  readonly path: string
  readonly user: FileUser
  readonly query: FileQuery
  readonly compressors: Compressors
  /** Empty; this module grows and releases it. */
  readonly hold: Hold
  readonly users: Pick<Users, 'names'>
  readonly log: Log
}

/**
 * Answers a GET with a directory as an archive, if the request asks for one by `format=` or by `Accept` alone. Resolves
 * with false for a request that does not, or whose `Accept` would take an archive of what is no directory. Rejects with
 * AppError before anything was sent; afterwards a failure cuts the connection. What was left out is named in the
 * trailer `X-Left-Out`.
 */
export async function sendTree(request: FastifyRequest, reply: FastifyReply, tree: TreeToSend): Promise<boolean> {
  const name = tree.query.format ?? formatOf(request.headers.accept)
  if (name === undefined) return false
  const format = FORMATS.get(name)
  if (format === undefined) throw invalid(`format must be one of ${[...FORMATS.keys()].join(', ')}`)
  const exclude = createExclude(tree.query.exclude?.split(',') ?? [])
  const prefix = prefixOf(tree.query.prefix ?? '')
  const strip = stripOf(tree.query.strip)
  const wholeSeconds = oneOf('times', tree.query.times, ['ns', 's']) === 's'
  const ignoreRules = isSet('gitignore', tree.query.gitignore) ? rulesOfFile : undefined
  const root = await openTreeRoot(tree.path, tree.user)
  if (root === undefined && tree.query.format === undefined) return false
  if (root === undefined) throw invalid(`path '${tree.path}' is not a directory`)
  try {
    const taken = takeAll(tree, format, reply.raw)
    const file = `${baseName(cleanPath(tree.path)) || 'root'}.${name}`
    reply
      .header('content-type', format.type)
      .header('content-disposition', inlineDisposition(file).replace(/^inline/, 'attachment'))
    if (request.raw.httpVersion !== '1.0') reply.header('trailer', 'X-Left-Out')
    const options = { root, tree, exclude, ignoreRules, prefix, strip, wholeSeconds, zip: format.zip }
    stream(reply, { ...options, ...taken }).catch(() => {})
  } catch (error) {
    await closeFile(root)
    tree.hold.release()
    throw error
  }
  return true
}

/** The archive that `Accept` prefers, unless it takes anything else before. */
function formatOf(accept: string | undefined): string | undefined {
  const [first] = parseWeightedList(accept).toSorted((a, b) => b.q - a.q)
  return [...FORMATS].find(([, { type }]) => type === first?.name)?.[0]
}

function takeAll({ hold, compressors }: TreeToSend, { compression, zip }: Format, client: ServerResponse) {
  const busy = (what: string) => new AppError('budget_spent', `${what}; try again`)
  const giveBack = places.take(client)
  if (giveBack === undefined) throw busy(`${MAX_TREES} trees are being sent already`)
  try {
    hold.grow(TREE_BYTES + (compression === undefined && !zip ? 0 : COMPRESSOR_BYTES))
    const compressor = compression && compressors.take(compression)
    if (compression !== undefined && compressor === undefined) throw busy('all compressors are busy')
    return { compressor, giveBack }
  } catch (error) {
    giveBack()
    throw error
  }
}

interface Sending extends ReturnType<typeof takeAll> {
  readonly root: number
  readonly tree: TreeToSend
  readonly exclude: ReturnType<typeof createExclude>
  readonly ignoreRules: typeof rulesOfFile | undefined
  readonly prefix: Buffer
  readonly strip: number
  readonly wholeSeconds: boolean
  readonly zip: boolean | undefined
}

/** Of the request some six, and as many of the pipeline: above ten Node warns of a leak. */
const MAX_LISTENERS = 20

/** Closes the root and releases the hold in the end. */
async function stream(
  reply: FastifyReply,
  { root, tree, compressor, giveBack, zip, ...options }: Sending,
): Promise<void> {
  const { user, path, hold, log } = tree
  const isPlain = compressor === undefined && zip !== true
  let leftOut = ''
  let count = 0
  const onLeftOut = (entry: Buffer) => {
    const separator = count === 0 ? '' : ','
    count++
    if (leftOut.length < MAX_TRAILER_BYTES) leftOut += separator + encodeBytes(entry)
  }
  const signal = clientGone(reply.raw)
  async function* bytes(raw: FastifyReply['raw']): AsyncGenerator<Buffer> {
    const names = await tree.users.names()
    const owners = packOwners(names.users, names.groups)
    const pieces = { plainFiles: zip === true, frees: isPlain }
    const tar = archiveTree(root, { ...options, ...pieces, path, owner: user, owners, hold, onLeftOut, signal })
    yield* zip ? zipOfTar(tar, hold) : tar
    if (raw.hasHeader('trailer')) raw.addTrailers({ 'x-left-out': `${count}; ${leftOut}` })
  }
  try {
    const raw = takeOver(reply)
    raw.setMaxListeners(MAX_LISTENERS)
    // The first piece may take minutes: of a large tree most may be left out.
    raw.flushHeaders()
    if (isPlain) await writeAll(raw, bytes(raw))
    else {
      const source = Readable.from(bytes(raw), { objectMode: false, highWaterMark: 64 * 1024 })
      await (compressor === undefined ? pipeline(source, raw) : pipeline(source, compressor, raw))
    }
    if (count > 0) log.warn({ entries: count, names: leftOut }, 'entries were left out of an archive')
  } catch (error) {
    log.debug({ ...errorFields(error) }, 'an archive broke off')
  } finally {
    giveBack()
    hold.release()
    await closeFile(root)
  }
}

/**
 * Writes all pieces and ends the response. A large piece is on its way when the next one is asked for, so that its
 * bytes can be freed. Rejects when the client leaves, and as the source does.
 */
async function writeAll(raw: ServerResponse, pieces: AsyncIterable<Buffer>): Promise<void> {
  let isLeft = false
  // The one that is waited for: a promise for the whole archive would remember each wait.
  let waiting = Promise.withResolvers<void>()
  const next = () => {
    waiting = Promise.withResolvers<void>()
    waiting.promise.catch(() => {})
    if (isLeft) waiting.reject(new Error('the client left'))
    return waiting
  }
  const onClose = () => {
    isLeft = true
    waiting.reject(new Error('the client left'))
  }
  next()
  raw.once('close', onClose)
  // Stays: a write that comes too late fails after its callback.
  raw.on('error', onClose)
  try {
    for await (const piece of pieces) {
      const written = next()
      const isTaken = raw.write(piece, (error) => (error ? written.reject(error) : written.resolve()))
      if (!isTaken || piece.buffer.byteLength >= LARGE_PIECE_BYTES) await written.promise
    }
    const ended = next()
    raw.end(ended.resolve)
    await ended.promise
  } catch (error) {
    raw.destroy()
    throw error
  } finally {
    raw.off('close', onClose)
  }
}

function isSet(name: string, value: string | undefined): boolean {
  return oneOf(name, value, ['0', '1']) === '1'
}

/** Undefined: the first of them. */
function oneOf(name: string, value: string | undefined, values: readonly [string, string]): string {
  if (value !== undefined && !values.includes(value)) throw invalid(`${name} must be ${values.join(' or ')}`)
  return value ?? values[0]
}

/** Throws AppError for one that could lead out of where the archive is unpacked. */
function prefixOf(prefix: string): Buffer {
  const text = withoutTrailing(prefix, '/')
  if (text.startsWith('/') || text.split('/').includes('..')) throw invalid('prefix must be a relative path without ..')
  return Buffer.from(text === '' ? '' : `${text}/`)
}

function encodeBytes(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^\w./-]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', problem)
}
