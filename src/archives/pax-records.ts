import { MAX_ATTRIBUTES } from '../native/unpack.ts'
import { badArchive } from './tar-fields.ts'

/** What the extended headers of an entry say (pax, POSIX.1-2017; the records of GNU tar for sparse files). */
export interface PaxRecords {
  readonly texts: ReadonlyMap<string, Buffer>
  /** Extended attributes that can count, by their whole names; one character per byte. */
  readonly attributes: ReadonlyMap<string, Buffer>
  /** Offsets and lengths of GNU tar's format 0.0, in turn. */
  readonly pieces: readonly number[]
}

/** Records that count; all others are skipped. */
const KEYS = new Set([
  'path',
  'linkpath',
  'size',
  'uid',
  'gid',
  'mtime',
  'GNU.sparse.major',
  'GNU.sparse.minor',
  'GNU.sparse.name',
  'GNU.sparse.size',
  'GNU.sparse.realsize',
  'GNU.sparse.map',
])
const ATTRIBUTE = /^SCHILY\.xattr\.(user\..*|security\.capability)$/s
/** Digits of the length of a record. */
const MAX_DIGITS = 10
/** Of all records that count for an entry, of its own extended headers and the global ones: as of one large header. */
const MAX_RECORDS_BYTES = 1024 * 1024

/**
 * Reads the records of an extended header, on top of those of `base`; an empty value takes one back. Throws AppError
 * for records that are none.
 */
export function paxRecords(content: Buffer, base?: PaxRecords): PaxRecords {
  const texts = new Map(base?.texts)
  const attributes = new Map(base?.attributes)
  const pieces: number[] = []
  for (let at = 0; at < content.length; ) {
    const [from, end] = recordAt(content, at)
    const equals = content.indexOf('=', from)
    if (equals < 0 || equals >= end) throw badArchive('a record of an extended header has no key')
    const key = content.toString('latin1', from, equals)
    const value = content.subarray(equals + 1, end)
    at = end + 1
    const attribute = ATTRIBUTE.exec(key)?.[1]
    if (attribute !== undefined) attributes.set(attributeName(attribute), Buffer.from(value))
    else if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') pieces.push(integer(key, value))
    else if (KEYS.has(key) && value.length > 0) texts.set(key, Buffer.from(value))
    else texts.delete(key)
    if (attributes.size > MAX_ATTRIBUTES) throw badArchive('an entry has too many attributes')
  }
  if (bytesOf(texts) + bytesOf(attributes) > MAX_RECORDS_BYTES)
    throw badArchive(`an entry has records of more than ${MAX_RECORDS_BYTES} bytes`)
  return { texts, attributes, pieces }
}

/** GNU tar writes `=` and `%` in names as `%3D` and `%25`. */
function attributeName(written: string): string {
  return written.replace(/%3D|%25/g, (code) => (code === '%3D' ? '=' : '%'))
}

function bytesOf(records: ReadonlyMap<string, Buffer>): number {
  let bytes = 0
  for (const [key, value] of records) bytes += key.length + value.length
  return bytes
}

/** Where the key of a record begins and its value ends; behind it is a newline. */
function recordAt(content: Buffer, at: number): [number, number] {
  const space = content.indexOf(' ', at)
  const digits = content.toString('latin1', at, Math.min(space, at + MAX_DIGITS + 1))
  const end = at + Number(digits) - 1
  const whole = /^\d+$/.test(digits) && digits.length <= MAX_DIGITS && end > space && content[end] === NEWLINE
  if (!whole) throw badArchive('an extended header is damaged')
  return [space + 1, end]
}

const NEWLINE = 0x0a

/** A record as a number from 0. Throws AppError. */
export function integer(key: string, value: Buffer): number {
  const text = value.toString('latin1')
  const number = Number(text)
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(number)) throw badArchive(`${key} is no number`)
  return number
}

/** Whole seconds, towards the past, and the nanoseconds after them. Throws AppError. */
export function timeRecord(value: Buffer): { readonly seconds: number; readonly nanoseconds: number } {
  const [, sign, whole = '', fraction = ''] = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(value.toString('latin1')) ?? []
  if (sign === undefined) throw badArchive('mtime is no time')
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'))
  const seconds = Number(whole)
  if (sign === '') return { seconds, nanoseconds }
  return nanoseconds === 0
    ? { seconds: -seconds, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds }
}
