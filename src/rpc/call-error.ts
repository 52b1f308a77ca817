import { AppError, type ErrorKind } from '../errors.ts'
import { statusOf } from '../http/app/error-response.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'

/** The codes of Connect: a new kind of error that is none does not compile until `codeOf` maps it. */
export type ConnectCode = Exclude<
  ErrorKind,
  | 'no_space'
  | 'not_acceptable'
  | 'budget_spent'
  | 'too_large'
  | 'stalled'
  | 'condition_failed'
  | 'unsupported_type'
  | 'locked'
  | 'checksum_mismatch'
>

/** An error in the words of Connect, as a unary body or the last frame of a stream has it. */
interface WireError {
  readonly code: ConnectCode
  readonly message: string
}

/**
 * What the client of an RPC receives: AppErrors as they are; whatever came up because the call was over, as the reason
 * for that; everything else is logged, once, and shown as "internal error".
 */
export function toAppError(error: unknown, signal: Pick<AbortSignal, 'aborted' | 'reason'>, log: Log): AppError {
  if (error instanceof AppError) return error
  if (signal.aborted && signal.reason !== error) return toAppError(signal.reason, signal, log)
  if (signal.aborted) return new AppError('canceled', 'the call was canceled')
  log.error({ ...errorFields(error) }, 'an rpc failed unexpectedly')
  return new AppError('internal', 'internal error')
}

/** The error with a code that Connect has. */
export function wireError({ kind, message }: AppError): WireError {
  return { code: codeOf(kind), message }
}

/** The HTTP status of a unary call that failed (contract A27). */
export function httpStatus({ kind }: AppError): number {
  return statusOf(codeOf(kind))
}

function codeOf(kind: ErrorKind): ConnectCode {
  if (kind === 'no_space' || kind === 'budget_spent' || kind === 'too_large') return 'resource_exhausted'
  if (kind === 'condition_failed') return 'failed_precondition'
  if (kind === 'stalled') return 'deadline_exceeded'
  if (kind === 'locked') return 'aborted'
  if (kind === 'checksum_mismatch') return 'invalid_argument'
  return kind === 'not_acceptable' || kind === 'unsupported_type' ? 'invalid_argument' : kind
}
