import { AppError, type ErrorKind } from '../errors.ts'
import { statusOf } from '../http/app/error-response.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'

/** Kinds of error that only HTTP has, and the code of Connect for each. */
const HTTP_ONLY = {
  no_space: 'resource_exhausted',
  budget_spent: 'resource_exhausted',
  too_large: 'resource_exhausted',
  condition_failed: 'failed_precondition',
  stalled: 'deadline_exceeded',
  locked: 'aborted',
  checksum_mismatch: 'invalid_argument',
  not_acceptable: 'invalid_argument',
  unsupported_type: 'invalid_argument',
} as const satisfies Partial<Record<ErrorKind, ErrorKind>>

/** The codes of Connect: a new kind of error that is none does not compile until it stands in `HTTP_ONLY`. */
export type ConnectCode = Exclude<ErrorKind, keyof typeof HTTP_ONLY>

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
  return isHttpOnly(kind) ? HTTP_ONLY[kind] : kind
}

function isHttpOnly(kind: ErrorKind): kind is keyof typeof HTTP_ONLY {
  return Object.hasOwn(HTTP_ONLY, kind)
}
