import type { BudgetKind } from '../budget/budget.ts'

/** What one request message of a method may be. */
export interface MessageLimit {
  /** Bytes, as they are sent and inflated. */
  readonly bytes: number
  /** What they wait as. */
  readonly kind: BudgetKind
}

/** The limit of every method whose table names no other: 1 MiB is far more than such a request needs. */
export const ORDINARY_MESSAGE: MessageLimit = { bytes: 1024 * 1024, kind: 'body' }
