import type { TimeSlice } from '../lib/time-slice.ts'

/** Positions between two looks at the clock; some 0.2 ms. */
const STEP = 32 * 1024

/** How the places of a pattern are looked for. */
interface SearchOptions {
  /** A place may begin within the one before. */
  readonly overlapping: boolean
  readonly slice: TimeSlice
  /** Called for each place, from left to right; false ends the search. */
  readonly onPlace: (at: number) => boolean
}

/**
 * The positions at which `pattern`, which is not empty, begins in `text`, from left to right without overlaps, at most
 * `limit` of them. Takes time as `searchBytes` does.
 */
export async function findBytes(
  text: Buffer,
  pattern: Buffer,
  { limit, slice }: { readonly limit: number; readonly slice: TimeSlice },
): Promise<number[]> {
  const found: number[] = []
  const onPlace = (at: number) => found.push(at) < limit
  await searchBytes(text, pattern, { overlapping: false, slice, onPlace })
  return found
}

/**
 * Looks for `pattern`, which is not empty, in `text`. Takes time in proportion to both lengths, whatever they are
 * (Knuth, Morris and Pratt, 1977), and four bytes for each of the pattern's: the engine's own search takes the product
 * of both where a text repeats itself.
 */
export async function searchBytes(text: Buffer, pattern: Buffer, options: SearchOptions): Promise<void> {
  if (pattern.length > text.length) return
  const { overlapping, slice, onPlace } = options
  const borders = await bordersOf(pattern, slice)
  const afterPlace = overlapping ? (borders.at(-1) ?? 0) : 0
  const first = pattern.readUInt8(0)
  let matched = 0
  for (let at = 0; at < text.length; at++) {
    if (at % STEP === 0) await slice.next()
    if (matched === 0 && text[at] !== first) {
      // To the last position of this step at most.
      const next = text.subarray(at, at + STEP - (at % STEP)).indexOf(first)
      if (next < 0) {
        at += STEP - (at % STEP) - 1
        continue
      }
      at += next
    }
    while (matched > 0 && text[at] !== pattern[matched]) matched = borders[matched - 1] ?? 0
    if (text[at] === pattern[matched]) matched++
    if (matched < pattern.length) continue
    if (!onPlace(at - pattern.length + 1)) return
    matched = afterPlace
  }
}

/**
 * For each prefix of the pattern the length of its longest part that is both its beginning and its end, and not all of
 * it.
 */
async function bordersOf(pattern: Buffer, slice: TimeSlice): Promise<Uint32Array> {
  const borders = new Uint32Array(pattern.length)
  for (let at = 1, length = 0; at < pattern.length; at++) {
    if (at % STEP === 0) await slice.next()
    while (length > 0 && pattern[at] !== pattern[length]) length = borders[length - 1] ?? 0
    if (pattern[at] === pattern[length]) length++
    borders[at] = length
  }
  return borders
}
