import { AppError } from '../../errors.ts'
import type { WriteCondition } from '../../filesystem/write-condition.ts'
import { COMPRESSIONS } from './compressors.ts'

/** The condition headers of a request, as Node presents them. */
type ConditionHeaders = Readonly<Record<string, string | string[] | undefined>>

/** What the conditions make of a request: go on, 304, or 412. */
type Condition = 'proceed' | 'not_modified' | 'failed'

/** What conditions are compared with. */
interface Validators {
  /** Seconds since 1970. */
  readonly modified: number
  /** The entity tag with its quotes, and `W/` before a weak one; undefined: none. */
  readonly tag: string | undefined
}

/** Judges the conditions of a GET (contract B20; RFC 9110 13.2.2). */
export function judgeConditions(headers: ConditionHeaders, current: Validators): Condition {
  if (!matches(headers, current)) return 'failed'
  const noneMatch = text(headers['if-none-match'])
  if (noneMatch !== '') return isNoneOf(noneMatch, current) ? 'proceed' : 'not_modified'
  const modifiedSince = secondsOf(text(headers['if-modified-since']))
  return modifiedSince !== undefined && current.modified <= modifiedSince ? 'not_modified' : 'proceed'
}

/**
 * The conditions of an upload (RFC 9110 13.2.2); undefined: there are none. Throws AppError invalid_argument for an
 * If-Match or If-None-Match that is neither `*` nor a list of entity tags, as a write without its condition is what the
 * client does not want.
 */
export function preconditionOf(headers: ConditionHeaders): WriteCondition | undefined {
  for (const name of ['if-match', 'if-none-match']) {
    const value = text(headers[name])
    if (value !== '' && value !== '*' && !LIST.test(value))
      throw new AppError('invalid_argument', `${name} must be '*' or a list of entity tags in double quotes`)
  }
  if (['if-match', 'if-none-match', 'if-unmodified-since'].every((name) => text(headers[name]) === '')) return undefined
  return (current) => {
    const noneMatch = text(headers['if-none-match'])
    return matches(headers, current) && (noneMatch === '' || isNoneOf(noneMatch, current))
  }
}

/**
 * Whether the Range header counts: there is no If-Range, or it names exactly the entity or the time of the last change.
 */
export function rangeHolds(headers: ConditionHeaders, { modified, tag }: Validators): boolean {
  const ifRange = text(headers['if-range'])
  if (/^(W\/)?"/.test(ifRange)) return ifRange === tag && !ifRange.startsWith('W/')
  return ifRange === '' || secondsOf(ifRange) === modified
}

const TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g
/** The end of the tag of a compressed answer (`compressedTag`). */
const COMPRESSED = new RegExp(`-(?:${COMPRESSIONS.join('|')})"$`)
const LIST = new RegExp(`^(?:${TAG.source})(?:\\s*,\\s*(?:${TAG.source}))*$`)

/** If-Match, else If-Unmodified-Since. */
function matches(headers: ConditionHeaders, current: Validators | undefined): boolean {
  const match = text(headers['if-match'])
  if (match === '*') return current !== undefined
  if (match !== '')
    return current?.tag !== undefined && !isWeak(current.tag) && tagsOf(match).some((tag) => tag === current.tag)
  const since = secondsOf(text(headers['if-unmodified-since']))
  return since === undefined || current === undefined || current.modified <= since
}

/** If-None-Match, by weak comparison (RFC 9110 8.8.3.2). */
function isNoneOf(list: string, current: Validators | undefined): boolean {
  if (list === '*') return current === undefined
  const tag = current?.tag?.replace(/^W\//, '')
  return tag === undefined || tagsOf(list).every((given) => given.replace(/^W\//, '') !== tag)
}

function isWeak(tag: string): boolean {
  return tag.startsWith('W/')
}

/** Of a compressed answer the tag names the compression behind that of the file. */
function tagsOf(list: string): string[] {
  return (list.match(TAG) ?? []).map((tag) => tag.replace(COMPRESSED, '"'))
}

/** The tag of a compressed answer, which has other bytes than the file. */
export function compressedTag(tag: string, compression: string): string {
  return tag.replace(/"$/, `-${compression}"`)
}

function text(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value.join(', ') : (value ?? '')).trim()
}

/** An HTTP date (RFC 9110 5.6.7) in seconds; undefined for anything else. */
function secondsOf(date: string): number | undefined {
  if (!/^[A-Z][a-z]{2,8},? .*\d/.test(date)) return undefined
  const milliseconds = Date.parse(date)
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000)
}
