/** What else the machine does slows down single rounds, but hardly so many after one another. */
const ROUNDS = 5

/** The milliseconds that `work` takes. */
export async function timeOf(work: () => Promise<unknown> | unknown): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/**
 * The shortest time in milliseconds that `round` reports, of at most 5 rounds; the first below `enough` is the last.
 * For upper limits: a busy machine slows down single rounds, a daemon that waits for too long slows down each.
 */
export async function fastest(enough: number, round: () => Promise<number> | number): Promise<number> {
  let shortest = Number.POSITIVE_INFINITY
  for (let i = 0; i < ROUNDS && shortest >= enough; i++) shortest = Math.min(shortest, await round())
  return shortest
}
