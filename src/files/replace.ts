import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { findBytes } from '../lib/find-bytes.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { MAX_EDITED_BYTES, MAX_OCCURRENCES } from './limits.ts'

/** One replacement of text in a file. */
export interface Replacing {
  readonly oldText: Buffer
  readonly newText: Buffer
  /** Which of its places: the only one, the one of that number from 1 on, or all. */
  readonly which: 'only' | 'all' | number
}

interface ReplaceOptions {
  /** For the text of errors. */
  readonly path: string
  /** Grows by the new content; the caller releases it. */
  readonly hold: Hold
  readonly signal: AbortSignal
}

/** What replacements have made of a content. */
interface Replaced {
  readonly content: Buffer
  /** Places that were changed. */
  readonly count: number
}

/**
 * Makes the replacements one after the other. Rejects with AppError: invalid_argument for an empty old text,
 * failed_precondition if one is not there, not so often, or, where one place is meant, more than once; too_large for
 * more than 100,000 places or 8 MiB afterwards; budget_spent.
 */
export async function replaceAll(
  original: Buffer,
  replacements: readonly Replacing[],
  options: ReplaceOptions,
): Promise<Replaced> {
  let [content, count] = [original, 0]
  for (const [index, replacement] of replacements.entries()) {
    options.signal.throwIfAborted()
    const what = `replacement ${index + 1} of '${options.path}'`
    const places = await placesOf(content, replacement, { what, hold: options.hold })
    const next = await spliced(content, places, { replacement, what, hold: options.hold })
    // Only what the replacements before have made is ours.
    if (content !== original) options.hold.shrink(content.length)
    content = next
    count += places.length
  }
  return { content, count }
}

interface Context {
  readonly what: string
  readonly hold: Hold
}

async function placesOf(content: Buffer, { oldText, which }: Replacing, { what, hold }: Context): Promise<number[]> {
  if (oldText.length === 0) throw new AppError('invalid_argument', `${what}: old_text is empty`)
  if (which === 0) throw new AppError('invalid_argument', `${what}: occurrences are counted from 1 on`)
  const limit = which === 'only' ? 2 : which === 'all' ? MAX_OCCURRENCES + 1 : which
  if (limit > MAX_OCCURRENCES + 1) throw tooMany(what)
  const memory = Math.min(oldText.length, content.length) * 4
  hold.grow(memory)
  const found = await findBytes(content, oldText, { limit, slice: createTimeSlice() })
  hold.shrink(memory)
  if (found.length > MAX_OCCURRENCES) throw tooMany(what)
  if (found.length === 0) throw new AppError('failed_precondition', `${what}: old_text was not found`)
  if (which === 'all') return found
  if (which === 'only') {
    if (found.length === 1) return found
    throw new AppError('failed_precondition', `${what}: old_text is there more than once; name the occurrence, or all`)
  }
  const place = found[which - 1]
  if (place !== undefined) return [place]
  throw new AppError('failed_precondition', `${what}: old_text is there ${found.length} times, not ${which}`)
}

function tooMany(what: string): AppError {
  return new AppError('too_large', `${what}: old_text may be there at most ${MAX_OCCURRENCES} times`)
}

/** Copies between two looks at the clock. */
const COPIES = 1_000

async function spliced(
  content: Buffer,
  places: readonly number[],
  { replacement, what, hold }: Context & { readonly replacement: Replacing },
): Promise<Buffer> {
  const { oldText, newText } = replacement
  const size = content.length + places.length * (newText.length - oldText.length)
  if (size > MAX_EDITED_BYTES)
    throw new AppError(
      'too_large',
      `${what}: the file would have ${size} bytes, at most ${MAX_EDITED_BYTES} are possible`,
    )
  hold.grow(size)
  const result = Buffer.allocUnsafeSlow(size)
  const slice = createTimeSlice()
  let [from, to] = [0, 0]
  for (const [index, place] of places.entries()) {
    if (index % COPIES === 0) await slice.next()
    to += content.copy(result, to, from, place)
    to += newText.copy(result, to)
    from = place + oldText.length
  }
  content.copy(result, to, from)
  return result
}
