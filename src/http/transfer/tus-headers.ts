import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../../errors.ts'
import { MAX_JOINED, MAX_METADATA_BYTES } from '../../uploads/limits.ts'
import type { Checksum } from '../../uploads/receive.ts'

/** Of the tus protocol (https://tus.io/protocols/resumable-upload), and of `Tus-Resumable` in every message. */
export const TUS_VERSION = '1.0.0'
export const TUS_EXTENSIONS =
  'creation,creation-defer-length,creation-with-upload,expiration,checksum,termination,concatenation'
/** Names of the protocol are those of OpenSSL. */
export const TUS_ALGORITHMS = 'sha1,sha256,sha512,md5'
/** Content type of a piece. */
export const PIECE_TYPE = 'application/offset+octet-stream'
/** Headers of responses that scripts of other origins may read. */
export const TUS_EXPOSED =
  'Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Defer-Length, Upload-Metadata, Upload-Expires, Upload-Concat'

/** What `Upload-Concat` asks for: a part of a file, or the file of these parts, by their ids. */
type Concat = 'partial' | { readonly parts: readonly string[] } | undefined

/** Throws AppError condition_failed for another version of the protocol. */
export function checkTusVersion(headers: IncomingHttpHeaders): void {
  if (headers['tus-resumable'] === TUS_VERSION) return
  throw new AppError('condition_failed', `Tus-Resumable must be ${TUS_VERSION}`)
}

/** A count of bytes. Throws AppError invalid_argument for anything else. */
export function bytesOf(headers: IncomingHttpHeaders, name: 'upload-length' | 'upload-offset'): number {
  const text = headers[name]
  const bytes = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(bytes)) throw new AppError('invalid_argument', `${name} must be a number of bytes`)
  return bytes
}

/** `Upload-Metadata` as it came; undefined: there is none. Throws AppError invalid_argument for one that is none. */
export function uploadMetadataOf(headers: IncomingHttpHeaders): string | undefined {
  const text = [headers['upload-metadata'] ?? []].flat().join(',')
  if (text === '') return undefined
  if (text.length > MAX_METADATA_BYTES)
    throw new AppError('invalid_argument', `upload-metadata exceeds ${MAX_METADATA_BYTES} bytes`)
  const keys = new Set<string>()
  for (const pair of text.split(',')) {
    const key = /^ *([^ ,]+)(?: ([A-Za-z0-9+/]*={0,2}))? *$/.exec(pair)?.[1]
    if (key === undefined || keys.has(key))
      throw new AppError('invalid_argument', 'upload-metadata must be pairs of a key and a value in base64')
    keys.add(key)
  }
  return text
}

/** The value of a key in `Upload-Metadata`; undefined: there is none. Throws AppError invalid_argument for no UTF-8. */
export function metadataValue(uploadMetadata: string | undefined, wanted: string): string | undefined {
  for (const pair of (uploadMetadata ?? '').split(',')) {
    const [key, value = ''] = pair.trim().split(' ')
    if (key !== wanted) continue
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'base64'))
    } catch (error) {
      throw new AppError('invalid_argument', `${wanted} in upload-metadata is not UTF-8`, { cause: error })
    }
  }
  return undefined
}

/** `Upload-Checksum`; undefined: there is none. Throws AppError invalid_argument for one that cannot be checked. */
export function checksumOf(headers: IncomingHttpHeaders): Checksum | undefined {
  const text = headers['upload-checksum']
  // A client that sends it behind the piece must not believe that it was looked at.
  if (/\bupload-checksum\b/i.test(headers.trailer ?? ''))
    throw new AppError('invalid_argument', 'upload-checksum must come before the piece, not in a trailer')
  if (text === undefined) return undefined
  const [, algorithm = '', digest = ''] = /^(\w+) ([A-Za-z0-9+/]+={0,2})$/.exec(String(text)) ?? []
  if (!TUS_ALGORITHMS.split(',').includes(algorithm))
    throw new AppError('invalid_argument', `upload-checksum must be one of ${TUS_ALGORITHMS}, and a digest in base64`)
  return { algorithm, digest: Buffer.from(digest, 'base64') }
}

/** `Upload-Concat`. Throws AppError invalid_argument for anything that is not of the protocol. */
export function concatOf(headers: IncomingHttpHeaders): Concat {
  const text = headers['upload-concat']
  if (text === undefined) return undefined
  if (text === 'partial') return 'partial'
  const urls = String(text).startsWith('final;') ? String(text).slice('final;'.length).trim().split(/ +/) : []
  const parts = urls.map((url) => /\/uploads\/([0-9a-f-]{36})(?:[?#]|$)/.exec(url)?.[1])
  if (parts.length === 0 || parts.length > MAX_JOINED)
    throw new AppError('invalid_argument', `upload-concat must be partial, or final; and 1 to ${MAX_JOINED} URLs`)
  return { parts: parts.map((id) => id ?? refuseUrl()) }
}

function refuseUrl(): never {
  throw new AppError('invalid_argument', 'upload-concat names what is no upload')
}
