import type { BudgetKind } from '../budget/budget.ts'

/** What a request message of a method may be. */
export interface MessageLimit {
  /** Bytes, as they are sent and inflated. */
  readonly bytes: number
  /** What they wait as. */
  readonly kind: BudgetKind
}

const MIB = 1024 * 1024

/** Far more than any of these requests needs. */
const ORDINARY: MessageLimit = { bytes: MIB, kind: 'body' }

/** The kernel takes 6 MiB of arguments and variables, which JSON may write twice as long. */
const COMMAND: MessageLimit = { bytes: 16 * MIB, kind: 'body' }

/** The 16 MiB that may wait for a process (`MAX_QUEUED_BYTES`), in base64. */
const INPUT: MessageLimit = { bytes: 24 * MIB, kind: 'input' }

const LIMITS = new Map<string, MessageLimit>([
  ['process.Process/Start', COMMAND],
  ['process.Process/SendInput', INPUT],
  ['process.Process/StreamInput', INPUT],
])

/** The limit of a method, `package.Service/Method`. */
export function messageLimit(method: string): MessageLimit {
  return LIMITS.get(method) ?? ORDINARY
}
