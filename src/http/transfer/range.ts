/** A piece of a file: `length` bytes from `start` on. */
export interface ByteRange {
  readonly start: number
  readonly length: number
}

/**
 * What a Range header means for a file: `whole` (no range, or one that is better ignored), some pieces, or not
 * satisfiable: `malformed`, or beyond the end.
 */
type RangeChoice =
  | { readonly kind: 'whole' }
  | { readonly kind: 'parts'; readonly parts: readonly ByteRange[] }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'beyond' }

/** More pieces than this are an attack, not a reader; the whole file is cheaper. */
const MAX_RANGES = 200

/** Reads a Range header for a file of `size` bytes (contract B19; RFC 9110 14.1). */
export function parseRange(header: string | undefined, size: number): RangeChoice {
  if (header === undefined || header === '') return { kind: 'whole' }
  if (!header.startsWith('bytes=')) return { kind: 'malformed' }
  const texts = header
    .slice('bytes='.length)
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '')
  const ranges = texts.map((text) => rangeOf(text, size))
  if (ranges.includes('malformed')) return { kind: 'malformed' }
  const parts = ranges.filter((range) => typeof range === 'object')
  if (parts.length === 0) return size === 0 || ranges.length === 0 ? { kind: 'whole' } : { kind: 'beyond' }
  const total = parts.reduce((sum, part) => sum + part.length, 0)
  return total > size || texts.length > MAX_RANGES ? { kind: 'whole' } : { kind: 'parts', parts }
}

function rangeOf(text: string, size: number): ByteRange | 'malformed' | 'beyond' {
  const match = /^(\d*)\s*-\s*(\d*)$/.exec(text)
  if (match === null || (match[1] === '' && match[2] === '')) return 'malformed'
  const [, first = '', last = ''] = match
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'beyond' : { start: size - length, length }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return 'malformed'
  if (start >= size) return 'beyond'
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return { start, length: end - start + 1 }
}

/** The value of Content-Range for a piece of a file of `size` bytes. */
export function contentRange({ start, length }: ByteRange, size: number): string {
  return `bytes ${start}-${start + length - 1}/${size}`
}
