import type { ByteBudget, Hold } from './budget.ts'

/**
 * Short answers at a time that pass although the budget is spent: some must, to see what is wrong and to free memory.
 */
const MAX_RESERVED = 8

const taken = new WeakMap<ByteBudget, number>()

/**
 * Grows `hold`, or lets the caller go on without as one of eight at a time. Returns what ends that; the caller releases
 * both. Throws as `Hold.grow`.
 */
export function growOrReserve(budget: ByteBudget, hold: Hold, bytes: number): () => void {
  if (hold.tryGrow(bytes)) return () => {}
  const others = taken.get(budget) ?? 0
  if (others >= MAX_RESERVED) hold.grow(bytes)
  taken.set(budget, others + 1)
  let over = false
  return () => {
    if (!over) taken.set(budget, (taken.get(budget) ?? 1) - 1)
    over = true
  }
}
