import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import { BATCHES_BYTES } from '../../archives/entry-batch.ts'
import type { ArchiveLimits } from '../../archives/limits.ts'
import { MAX_EXTENDED_BYTES } from '../../archives/tar-reader.ts'
import { type ArchiveTarget, type UnpackMode, unpackArchive } from '../../archives/unpack-archive.ts'
import { AppError } from '../../errors.ts'
import { baseName, cleanPath } from '../../lib/clean-path.ts'
import { Places } from '../../lib/places.ts'
import { type BodyEncoding, withDecodedBody } from '../body/decoded-body.ts'
import { parseMediaType } from '../body/media-type.ts'
import { preconditionOf } from './conditions.ts'
import { type FileQuery, stripOf } from './file-query.ts'

/** Archives that are unpacked at once, over all clients: each keeps the disk busy. */
const MAX_UNPACKING = 4
/** Memory of one: what is collected or waits to be made, and an extended header. */
const UNPACK_BYTES = BATCHES_BYTES + MAX_EXTENDED_BYTES

const ZIP = 'application/zip'
const TYPES: ReadonlyMap<string, BodyEncoding> = new Map([
  ['application/x-tar', 'identity'],
  ['application/gzip', 'gzip'],
  ['application/x-gzip', 'gzip'],
  ['application/zstd', 'zstd'],
  [ZIP, 'identity'],
])
const MODES: ReadonlySet<string> = new Set<UnpackMode>(['overwrite', 'create', 'replace'])

const places = new Places(MAX_UNPACKING)

/** How the archive that a content type stands for is compressed; undefined: it stands for none. */
export function archiveEncodingOf(contentType: string | undefined): BodyEncoding | undefined {
  return TYPES.get(parseMediaType(contentType ?? '')?.type ?? '')
}

/** What the request says of how to unpack. */
type ArchiveOptions = Pick<ArchiveTarget, 'format' | 'mode' | 'archiveOwners' | 'strip'>

/** Who sends it, which decides about owners. */
interface Sender {
  readonly headers: IncomingHttpHeaders
  readonly hasMetadata: boolean
  /** Was let in by its signature alone. */
  readonly signed: boolean
  readonly isRoot: boolean
}

/**
 * Reads how an archive is to be unpacked. Throws AppError invalid_argument for what there is not, or what does not go
 * with archives; permission_denied for `owner=archive` by callers other than root with the token.
 */
export function archiveOptionsOf(query: FileQuery, { headers, hasMetadata, signed, isRoot }: Sender): ArchiveOptions {
  const { mode = 'overwrite', owner = 'user' } = query
  const strip = stripOf(query.strip)
  const refuse = (problem: string) => new AppError('invalid_argument', problem)
  if (!isMode(mode)) throw refuse(`mode of an archive must be one of ${[...MODES].join(', ')}`)
  if (owner !== 'user' && owner !== 'archive') throw refuse('owner must be user or archive')
  if (query.chmod !== undefined || hasMetadata || preconditionOf(headers) !== undefined)
    throw refuse('chmod, metadata and conditions do not go with archives')
  if (!query.path) throw refuse('path query parameter is required for archives')
  if (owner === 'archive' && (!isRoot || signed))
    throw new AppError('permission_denied', 'owner=archive is for root with the token only')
  const format = parseMediaType(headers['content-type'] ?? '')?.type === ZIP ? 'zip' : 'tar'
  return { format, mode, archiveOwners: owner === 'archive', strip }
}

function isMode(mode: string): mode is UnpackMode {
  return MODES.has(mode)
}

/** An archive on its way. */
interface Receiving extends Omit<ArchiveTarget, 'signal' | 'received'> {
  /** Encoding of the request, and of the archive in it. */
  readonly encodings: readonly [BodyEncoding, BodyEncoding]
  readonly limits: ArchiveLimits
  /** Emits `close` when the client has left. */
  readonly client: EventEmitter
}

/** Unpacks the body of a request, and resolves with the answer: a list, as for files. Rejects with AppError. */
export async function receiveArchive(body: Readable, receiving: Receiving): Promise<object[]> {
  const { encodings, idleMs, hold } = receiving
  const giveBack = places.take(receiving.client)
  if (giveBack === undefined)
    throw new AppError('budget_spent', `${MAX_UNPACKING} archives are being unpacked already; try again`)
  try {
    hold.grow(UNPACK_BYTES)
    const path = cleanPath(receiving.path)
    const counts = await withDecodedBody(body, { encoding: encodings[0], idleMs }, (outer) =>
      withDecodedBody(outer.stream, { encoding: encodings[1], idleMs }, ({ stream, signal, received }) => {
        const first = encodings[0] === 'identity' ? received : outer.received
        return unpackArchive(stream, {
          ...receiving,
          path,
          signal: AbortSignal.any([signal, outer.signal]),
          received: first,
        })
      }),
    )
    return [{ name: baseName(path), path, type: 'dir', ...counts }]
  } finally {
    giveBack()
  }
}
