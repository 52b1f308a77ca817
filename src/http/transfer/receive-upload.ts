import type { Readable } from 'node:stream'
import { AppError } from '../../errors.ts'
import type { FileUser } from '../../filesystem/file-user.ts'
import { MalformedForm, type Part, receiveMultipart } from '../../filesystem/multipart.ts'
import { type Stored, storeFile, type UploadTarget } from '../../filesystem/upload.ts'
import { cleanPath } from '../../lib/clean-path.ts'
import { CutShort, Stalled } from '../../lib/pump.ts'
import { type MediaType, parseMediaType } from '../body/media-type.ts'
import { parsePartDisposition } from './content-disposition.ts'
import { plainName } from './plain-name.ts'

/** What an upload request asks for, read from everything but its body. */
export interface Upload {
  readonly contentType: string | undefined
  /** The `path` of the query; undefined: none, so that parts name their own. */
  readonly path: string | undefined
  /** Was let in by its signature alone. */
  readonly signed: boolean
  /** Throws AppError for a path that cannot be resolved. */
  readonly resolve: (path: string) => string
  readonly target: Omit<UploadTarget, 'path' | 'content' | 'signal' | 'idleMs'>
  /** All of the body, if it is small and there already; it is not read from the stream then. */
  readonly arrived: () => Promise<Buffer | undefined>
  readonly signal: AbortSignal
  readonly idleMs: number
}

/** RFC 2046 5.1.1 allows 70; some clients exceed it a little. */
const MAX_BOUNDARY_BYTES = 200
/** What is remembered of a file of a form beside its path, which is in memory three times: here, there and to come. */
const STORED_BYTES = 400
/** Form types that hold files (contract B33). */
const FORM_TYPES = new Set(['multipart/form-data', 'multipart/mixed'])

/**
 * Stores what an upload request carries (contract B31 to B36): one raw body, or the `file` parts of a form, in order.
 * Files stored before a failure stay. Rejects with AppError.
 */
export async function receiveUpload(body: Readable, upload: Upload): Promise<Stored[]> {
  const mediaType = parseMediaType(upload.contentType ?? '')
  if (mediaType?.type === 'application/octet-stream') return [await receiveRaw(body, upload)]
  if (mediaType?.type.startsWith('multipart/')) return receiveForm(body, mediaType, upload)
  throw unsupportedType(upload.contentType)
}

/** The refusal of a body that is neither octets nor a form, with the type as it was sent. */
export function unsupportedType(contentType = ''): AppError {
  return new AppError(
    'invalid_argument',
    `unsupported content type: ${contentType}, expected multipart/form-data or application/octet-stream`,
  )
}

async function receiveRaw(body: Readable, upload: Upload): Promise<Stored> {
  if (upload.path === undefined) {
    throw new AppError('invalid_argument', 'path query parameter is required for raw body upload')
  }
  const { target, signal, idleMs } = upload
  const path = upload.resolve(upload.path)
  const content = await upload.arrived()
  return storeFile(body, { ...target, path, content, signal, idleMs })
}

async function receiveForm(body: Readable, mediaType: MediaType, upload: Upload): Promise<Stored[]> {
  const { hold, metadata } = upload.target
  // Each names all of it in the answer.
  const each = STORED_BYTES + [...metadata].join().length
  // By clean path, in order.
  const stored = new Map<string, Stored>()
  const onPart = async (part: Part, signal: AbortSignal) => {
    const { name, filename } = parsePartDisposition(part.disposition)
    // Whatever makes a header unreadable must not look as if there were no file.
    if (name === undefined) throw new MalformedForm('a part has no form-data name')
    if (name !== 'file') return void part.body.resume()
    const path = partPath(filename, upload)
    const owner = upload.signed && !upload.path ? confined(upload.target.owner) : upload.target.owner
    const clean = cleanPath(path)
    if (stored.has(clean)) throw secondFile(path, clean, stored)
    const content = part.arrived()
    stored.set(clean, await storeFile(part.body, { ...upload.target, owner, path, content, signal }))
    hold.grow(each + 3 * clean.length)
  }
  const { signal, idleMs } = upload
  try {
    await receiveMultipart(body, { boundary: boundaryOf(mediaType), onPart, signal, idleMs, hold })
  } catch (error) {
    throw formError(error)
  }
  return [...stored.values()]
}

function boundaryOf({ type, parameters }: MediaType): string {
  const refuse = (problem: string) => new AppError('invalid_argument', `error parsing multipart form: ${problem}`)
  if (!FORM_TYPES.has(type)) throw refuse("request Content-Type isn't multipart/form-data")
  const boundary = parameters.get('boundary')
  if (!boundary) throw refuse('no multipart boundary param in Content-Type')
  if (boundary.length > MAX_BOUNDARY_BYTES) throw refuse(`boundary is longer than ${MAX_BOUNDARY_BYTES} bytes`)
  return boundary
}

function partPath(filename: string | undefined, { path, signed, resolve }: Upload): string {
  // SDKs sign no path where the form is to say it.
  if (path !== undefined && !(signed && path === '')) return resolve(path)
  if (filename !== undefined) return resolve(signed ? plainName(filename) : filename)
  throw new AppError(
    'invalid_argument',
    'error getting multipart custom part file name: filename not found in Content-Disposition header',
  )
}

function confined(user: FileUser): FileUser {
  return { ...user, beneath: Buffer.from(user.home) }
}

function secondFile(path: string, clean: string, stored: ReadonlyMap<string, Stored>): AppError {
  const others = [...stored].filter(([key]) => key !== clean).map(([, { file }]) => file.path)
  const also = others.length === 0 ? '' : `, also the following files were uploaded: ${others.join(', ')}`
  return new AppError(
    'invalid_argument',
    `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded${also}`,
  )
}

function formError(error: unknown): unknown {
  if (error instanceof MalformedForm || error instanceof CutShort) {
    return new AppError('invalid_argument', `error reading form: ${error.message}`, { cause: error })
  }
  if (error instanceof Stalled) {
    return new AppError('stalled', `error reading form: ${error.message}`, { cause: error })
  }
  return error
}
