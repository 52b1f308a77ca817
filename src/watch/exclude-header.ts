import { AppError } from '../errors.ts'
import { withoutTrailing } from '../lib/without-trailing.ts'

/** The request header of WatchDir and CreateWatcher with what is left out. */
export const EXCLUDE_HEADER = 'watch-exclude'

/**
 * The patterns of the header: a list with commas (RFC 9110 5.6.1), of which each element is percent-encoded UTF-8 (RFC
 * 3986 2.1); blanks around elements count for nothing, and several headers are one list. Throws AppError
 * `invalid_argument`.
 */
export function parseExcludeHeader(header: string | undefined): string[] {
  if (header === undefined) return []
  return header
    .split(',')
    .map((element) => withoutTrailing(element.replace(/^[ \t]+/, ''), ' \t'))
    .filter((element) => element !== '')
    .map(decoded)
}

function decoded(element: string): string {
  try {
    const pattern = decodeURIComponent(element)
    if (!pattern.includes('\0')) return pattern
  } catch {
    // Falls through to the refusal.
  }
  throw new AppError('invalid_argument', `Watch-Exclude: ${JSON.stringify(element)} is not percent-encoded UTF-8`)
}
