import { createTimeSlice } from '../lib/time-slice.ts'
import { Scanner } from './scanner.ts'
import type { JsonLimits, Shape } from './shape.ts'
import type { Json } from './tree.ts'

/**
 * Parses JSON without holding up others, however long it is: it works for some milliseconds at a time and builds only
 * what the shape wants. `bytes` is overwritten where the shape has bytes, which are views of it. Rejects with
 * SyntaxError for what is not JSON, with AppError beyond the limits (`Tree`), and with the signal's reason.
 */
export async function readJson(
  bytes: Buffer,
  shape: Shape,
  { limits, signal }: { readonly limits: JsonLimits; readonly signal: AbortSignal },
): Promise<Json> {
  const scanner = new Scanner(bytes, shape, limits)
  const slice = createTimeSlice()
  while (!scanner.work()) {
    const wait = slice.next()
    if (wait === undefined) continue
    await wait
    signal.throwIfAborted()
  }
  return scanner.tree.root
}
