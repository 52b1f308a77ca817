import { constants } from 'node:os'
import { messageText } from './lib/message-text.ts'

/**
 * What went wrong, in the vocabulary of Connect's codes plus those that only HTTP distinguishes: `no_space` (disk or
 * inodes used up), `not_acceptable` (no encoding the client takes), `condition_failed` (the condition of a request does
 * not hold), `budget_spent` (too much waits already; worth a retry), `too_large` (more than is ever taken), `stalled`
 * (the client sends nothing more), `unsupported_type` (of a body), `locked` (another request works on it) and
 * `checksum_mismatch` (what came is not what was sent).
 */
export type ErrorKind =
  | 'canceled'
  | 'unknown'
  | 'invalid_argument'
  | 'deadline_exceeded'
  | 'not_found'
  | 'already_exists'
  | 'permission_denied'
  | 'resource_exhausted'
  | 'failed_precondition'
  | 'out_of_range'
  | 'aborted'
  | 'unimplemented'
  | 'internal'
  | 'unavailable'
  | 'unauthenticated'
  | 'budget_spent'
  | 'too_large'
  | 'stalled'
  | 'no_space'
  | 'not_acceptable'
  | 'condition_failed'
  | 'unsupported_type'
  | 'locked'
  | 'checksum_mismatch'

/** Kinds that the log tells with a stack trace. */
const UNEXPECTED: ReadonlySet<ErrorKind> = new Set(['internal', 'unknown'])

/**
 * The one error class of the daemon: thrown where the failure is known, mapped once per protocol
 * (`rpc/error-boundary.ts`, `http/app/error-response.ts`). The message is shown to the client, as `messageText` makes
 * it.
 */
export class AppError extends Error {
  readonly kind: ErrorKind

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    const limit = Error.stackTraceLimit
    // The trace of an answer is not looked at, and thousands of streams may be refused in a moment.
    if (!UNEXPECTED.has(kind)) Error.stackTraceLimit = 0
    super(messageText(message), options)
    Error.stackTraceLimit = limit
    this.name = 'AppError'
    this.kind = kind
  }
}

/**
 * Why work is over whose owner has gone or has closed it. One for all: without a reason each abort makes an error of
 * its own, with its stack trace.
 */
export const CLOSED = new AppError('canceled', 'it is closed')

/** The errno name (`ENOENT`) of a failed system call, or undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  if (typeof error.code !== 'string') return undefined
  if (/^E[A-Z0-9]+$/.test(error.code)) return error.code
  // libuv has no names for some (ESTALE).
  const [, number] = /^Unknown system error -(\d+)$/.exec(error.code) ?? []
  return NAMES.get(Number(number))
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
)

/** What the machine is short of, or may do when it is asked again; everything else is `internal`. */
const KINDS: Readonly<Record<string, ErrorKind>> = {
  ENOSPC: 'no_space',
  EDQUOT: 'no_space',
  // Descriptors and memory come back.
  EMFILE: 'budget_spent',
  ENFILE: 'budget_spent',
  ENOMEM: 'budget_spent',
  EINTR: 'unavailable',
  EAGAIN: 'unavailable',
  // A file of a network mount that its server has changed.
  ESTALE: 'unavailable',
}

/** The kind of an error for an errno that has no meaning of its own where it occurs; `internal` where there is none. */
export function errnoKind(errno: string): ErrorKind {
  return KINDS[errno] ?? 'internal'
}
