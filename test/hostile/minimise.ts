/** Runs that look for a shorter list, at most: each starts a daemon, and one that fails may wait for its limit. */
const MAX_RUNS = 40

/**
 * Leaves out of a list, in ever smaller parts, what is not needed for it to fail (delta debugging), in at most 40 runs.
 * Keeps the order. Undefined: the whole list does not fail again.
 */
export async function minimise<T>(
  items: readonly T[],
  fails: (items: readonly T[]) => Promise<boolean>,
): Promise<readonly T[] | undefined> {
  if (!(await fails(items))) return undefined
  let kept = items
  let runs = 1
  for (let parts = 2; kept.length > 1 && runs < MAX_RUNS; ) {
    const size = Math.ceil(kept.length / parts)
    const shorter = await firstOf(partsOf(kept, size), async (candidate) => runs++ < MAX_RUNS && fails(candidate))
    if (shorter !== undefined) {
      kept = shorter
      parts = Math.max(2, parts - 1)
    } else if (size === 1) break
    else parts = Math.min(kept.length, parts * 2)
  }
  return kept
}

/** The last part alone, where what failed is likely to be, then the list without each of its parts. */
function partsOf<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const starts = Array.from({ length: Math.ceil(items.length / size) }, (_, at) => at * size)
  return [items.slice(-size), ...starts.map((start) => items.toSpliced(start, size))]
}

async function firstOf<T>(candidates: readonly T[], is: (candidate: T) => Promise<boolean>): Promise<T | undefined> {
  for (const candidate of candidates) if (await is(candidate)) return candidate
  return undefined
}
