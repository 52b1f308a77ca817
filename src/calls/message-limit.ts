import type { BudgetKind } from '../budget/budget.ts'

/** What one request message of a method may be. */
export interface MessageLimit {
  /** Bytes of the message, both as sent and as inflated. */
  readonly bytes: number
  /** The kind under which they count in the byte budget. */
  readonly kind: BudgetKind
}

/** The limit of every method whose table names no other: 1 MiB is far more than such a request needs. */
export const ORDINARY_MESSAGE: MessageLimit = { bytes: 1024 * 1024, kind: 'body' }
