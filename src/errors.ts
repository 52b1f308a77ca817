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

/**
 * The one error class of the daemon: thrown where the failure is known, mapped once per protocol
 * (`rpc/error-boundary.ts`, `http/app/error-response.ts`). The message is shown to the client, as `messageText` makes
 * it.
 */
export class AppError extends Error {
  readonly kind: ErrorKind

  constructor(kind: ErrorKind, message: string, options?: ErrorOptions) {
    super(messageText(message), options)
    this.name = 'AppError'
    this.kind = kind
  }
}

/** The errno name (`ENOENT`) of a failed system call, or undefined for any other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined
}
