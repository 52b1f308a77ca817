/** Choices that a seed repeats. */
export interface Random {
  /** A whole number from 0 to below `limit`. */
  int(limit: number): number
  pick<T>(choices: readonly [T, ...T[]]): T
  chance(probability: number): boolean
  bytes(length: number): Buffer
}

/** Makes the choices of a seed (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const int = (limit: number) => Math.floor(next() * limit)
  return {
    int,
    // The index is below the length of a list that is not empty.
    pick: (choices) => choices[int(choices.length)] ?? choices[0],
    chance: (probability) => next() < probability,
    bytes: (length) => Buffer.from(Array.from({ length }, () => int(256))),
  }
}

/** The seed of this run: that of the variable, to repeat one, or the clock. */
export function chosenSeed(variable = 'HOSTILE_SEED'): number {
  return Number(process.env[variable] ?? Date.now() % 2 ** 31)
}
