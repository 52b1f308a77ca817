import { Code, ConnectError, type Interceptor } from '@connectrpc/connect'
import { codeToHttpStatus } from '@connectrpc/connect/protocol-connect'
import { AppError, type ErrorKind } from '../errors.ts'
import type { Log } from '../log.ts'

const codes: Record<ErrorKind, Code> = {
  canceled: Code.Canceled,
  unknown: Code.Unknown,
  invalid_argument: Code.InvalidArgument,
  deadline_exceeded: Code.DeadlineExceeded,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  failed_precondition: Code.FailedPrecondition,
  aborted: Code.Aborted,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
  unauthenticated: Code.Unauthenticated,
  no_space: Code.ResourceExhausted,
  not_acceptable: Code.InvalidArgument,
}

/**
 * What the client of an RPC is told: AppErrors and Connect's own errors as they are; whatever came up because the call was
 * over, as the reason for that; everything else is logged, once, and shown as "internal error".
 */
export function toConnectError(error: unknown, signal: AbortSignal, log: Log): ConnectError {
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded)
    return new ConnectError('context deadline exceeded', Code.DeadlineExceeded)
  if (error instanceof ConnectError) return error
  if (error instanceof AppError) return new ConnectError(error.message, codes[error.kind])
  if (signal.aborted && signal.reason !== error) return toConnectError(signal.reason, signal, log)
  if (signal.aborted) return new ConnectError('the call was canceled', Code.Canceled)
  log.error({ error: error instanceof Error ? error.stack : typeof error }, 'an rpc failed unexpectedly')
  return new ConnectError('internal error', Code.Internal)
}

/** The error as a Connect body or end-of-stream frame has it. */
export function wireError(error: ConnectError): { readonly code: string; readonly message: string } {
  return { code: codeName(error.code), message: error.rawMessage }
}

/** The HTTP status of a unary call that failed (contract A27). */
export function httpStatus(error: ConnectError): number {
  return codeToHttpStatus(error.code)
}

/** A code as the wire spells it: `not_found`. */
export function codeName(code: Code): string {
  return (Code[code] ?? 'Unknown').replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/** Puts every RPC that the library serves behind `toConnectError`, the items of its response stream included, and logs it. */
export function errorBoundary(log: Log): Interceptor {
  return (next) => async (request) => {
    const started = performance.now()
    const method = `${request.service.typeName}/${request.method.name}`
    const fail = (error: unknown) => {
      const known = toConnectError(error, request.signal, log)
      logCall(log, { method, code: codeName(known.code), started })
      return known
    }
    try {
      const response = await next(request)
      if (!response.stream) {
        logCall(log, { method, code: 'ok', started })
        return response
      }
      const messages = response.message
      const guarded = async function* () {
        try {
          yield* messages
          logCall(log, { method, code: 'ok', started })
        } catch (error) {
          throw fail(error)
        }
      }
      return { ...response, message: guarded() }
    } catch (error) {
      throw fail(error)
    }
  }
}

/** One line per call, without anything of its content. `started` is on the clock of performance.now(). */
export function logCall(
  log: Log,
  call: { readonly method: string; readonly code: string; readonly started: number },
): void {
  const ms = Math.round((performance.now() - call.started) * 1000) / 1000
  log.debug({ method: call.method, code: call.code, ms }, 'rpc')
}
