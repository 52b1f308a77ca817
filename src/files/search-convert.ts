import { isUtf8 } from 'node:buffer'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { AppError } from '../errors.ts'
import { timestamp } from '../filesystem/entry.ts'
import {
  Case,
  type ChecksumResponseSchema,
  type FindRequest,
  type FindResponseSchema,
  type GrepRequest,
  type GrepResponseSchema,
  type Scope as ScopeMessage,
} from '../gen/files/v1/files_pb.js'
import type { ChecksumItem } from './checksum.ts'
import type { FindItem, FindQuery } from './find.ts'
import type { GrepItem, GrepQuery } from './grep.ts'
import { MAX_CONTEXT, MAX_FOUND, MAX_LINE_BYTES, MAX_MATCHES } from './limits.ts'
import type { Scope } from './search-place.ts'

const DEFAULT_LIMIT = 1_000
const DEFAULT_LINE_BYTES = 2_000
const DEFAULT_FILE_BYTES = 16 * 1024 * 1024
const NS = 1_000_000_000n

const CASES = {
  [Case.UNSPECIFIED]: 'sensitive',
  [Case.SENSITIVE]: 'sensitive',
  [Case.INSENSITIVE]: 'insensitive',
  [Case.SMART]: 'smart',
} as const

/** Throws AppError invalid_argument for more than is possible. */
export function toGrepQuery(request: GrepRequest): GrepQuery {
  const { pattern, fixed, word, multiline, before, after, limitPerFile, count } = request
  const chosen = CASES[request.case]
  if (chosen === undefined) throw new AppError('invalid_argument', `unknown case ${request.case}`)
  atMost('limit', request.limit, MAX_MATCHES)
  atMost('max_line_bytes', request.maxLineBytes, MAX_LINE_BYTES)
  atMost('before', before, MAX_CONTEXT)
  atMost('after', after, MAX_CONTEXT)
  return {
    ...{ pattern, fixed, word, multiline, before, after, limitPerFile, count, case: chosen },
    scope: toScope(request.scope),
    limit: request.limit || DEFAULT_LIMIT,
    maxFileBytes: Math.min(Number(request.maxFileBytes), Number.MAX_SAFE_INTEGER) || DEFAULT_FILE_BYTES,
    lineBytes: request.maxLineBytes || DEFAULT_LINE_BYTES,
  }
}

/** Throws AppError invalid_argument for more than is possible. */
export function toFindQuery(request: FindRequest): FindQuery {
  const { minSize = 0n, maxSize, modifiedAfter, modifiedBefore } = request
  atMost('limit', request.limit, MAX_FOUND)
  const [from, to] = [nanoseconds(modifiedAfter), nanoseconds(modifiedBefore)]
  return {
    scope: toScope(request.scope),
    limit: request.limit || DEFAULT_LIMIT,
    matches: ({ size, modified }) =>
      size >= minSize &&
      (maxSize === undefined || size <= maxSize) &&
      (from === undefined || modified > from) &&
      (to === undefined || modified < to),
  }
}

function toScope(scope: ScopeMessage | undefined): Scope {
  const { globs = [], gitignore = false, hidden = false, depth = 0 } = scope ?? {}
  return { globs, gitignore, hidden, depth }
}

function atMost(field: string, value: number, most: number): void {
  if (value > most) throw new AppError('invalid_argument', `${field} is at most ${most}`)
}

function nanoseconds(time: Timestamp | undefined): bigint | undefined {
  return time && time.seconds * NS + BigInt(time.nanos)
}

/** The wire's form of what was found in files. */
export function toGrepResponse(item: GrepItem): MessageInitShape<typeof GrepResponseSchema> {
  switch (item.kind) {
    case 'keepalive':
      return { event: { case: 'keepalive', value: {} } }
    case 'summary': {
      const { lines, files, truncated, unreadable } = item
      return {
        event: {
          case: 'summary',
          value: { matchingLines: BigInt(lines), files: BigInt(files), truncated, unreadable },
        },
      }
    }
    case 'file': {
      const file = { ...toPath(item.path), matchingLines: BigInt(item.lines), binary: item.binary }
      return { event: { case: 'file', value: file } }
    }
    case 'match':
    case 'context': {
      const { path, number, offset, text, cut, matches } = item
      const line = {
        ...toPath(path),
        ...{ number: BigInt(number), byteOffset: BigInt(offset), text: text.toString(), notUtf8: !isUtf8(text), cut },
        ...{ matches: [...matches], context: item.kind === 'context' },
      }
      return { event: { case: 'line', value: line } }
    }
  }
}

/** The wire's form of files that were found. */
export function toFindResponse(item: FindItem): MessageInitShape<typeof FindResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  if (item.kind === 'summary')
    return {
      event: {
        case: 'summary',
        value: { files: BigInt(item.files), truncated: item.truncated, unreadable: item.unreadable },
      },
    }
  const { size, modifiedSeconds, modifiedNanoseconds } = item.entry
  const modified = timestamp(modifiedSeconds, modifiedNanoseconds)
  return { event: { case: 'file', value: { ...toPath(item.path), size, modified } } }
}

/** The wire's form of checksums. */
export function toChecksumResponse(item: ChecksumItem): MessageInitShape<typeof ChecksumResponseSchema> {
  if (item.kind === 'keepalive') return { event: { case: 'keepalive', value: {} } }
  if (item.kind === 'file') {
    const { path, sha256, size } = item
    return { event: { case: 'file', value: { ...toPath(path), sha256, size: BigInt(size) } } }
  }
  const { sha256, files, bytes, leftOut } = item
  const summary = { sha256, files: BigInt(files), bytes: BigInt(bytes), leftOut: BigInt(leftOut) }
  return { event: { case: 'summary', value: summary } }
}

/** A path on the wire. */
export function toPath(path: Buffer): { readonly path: string; readonly rawPath?: Buffer } {
  return isUtf8(path) ? { path: path.toString() } : { path: path.toString(), rawPath: path }
}
