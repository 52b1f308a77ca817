import { timeOf } from './fastest.ts'

/** What `work(size)` may take at ten times the size, as a multiple: 10 is linear, 100 quadratic. */
export const LINEAR_FACTOR = 30

/**
 * How many times as long `work` takes for `large` as for `small`; the shortest of `rounds` each, taken in turn, so that
 * other load on the machine counts for little. Sizes should be ten times apart, and the small one take some
 * milliseconds.
 */
export async function growth(
  { small, large, rounds = 3 }: { readonly small: number; readonly large: number; readonly rounds?: number },
  work: (size: number) => Promise<void> | void,
): Promise<number> {
  const shortest = { small: Number.POSITIVE_INFINITY, large: Number.POSITIVE_INFINITY }
  for (let round = 0; round < rounds; round++) {
    shortest.small = Math.min(shortest.small, await timeOf(() => work(small)))
    shortest.large = Math.min(shortest.large, await timeOf(() => work(large)))
  }
  return shortest.large / shortest.small
}
