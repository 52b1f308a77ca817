import { Code, ConnectError, type Interceptor } from '@connectrpc/connect'
import type { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { AccessLog, Operation } from './access-log.ts'
import type { CallDeps } from './call-deps.ts'
import { type ConnectCode, toAppError, wireError } from './call-error.ts'
import { operationKey } from './operation.ts'

/** The library's number of a code. A new code does not compile until it is here. */
const CODES: Readonly<Record<ConnectCode, Code>> = {
  canceled: Code.Canceled,
  unknown: Code.Unknown,
  invalid_argument: Code.InvalidArgument,
  deadline_exceeded: Code.DeadlineExceeded,
  not_found: Code.NotFound,
  already_exists: Code.AlreadyExists,
  permission_denied: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  failed_precondition: Code.FailedPrecondition,
  out_of_range: Code.OutOfRange,
  aborted: Code.Aborted,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
  unavailable: Code.Unavailable,
  unauthenticated: Code.Unauthenticated,
}

function wireName(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/** An AppError as the library wants it. */
export function connectError(error: AppError): ConnectError {
  const { code, message } = wireError(error)
  return new ConnectError(message, CODES[code])
}

/** What the client receives (`toAppError`), as the library wants it; the library's own errors stay as they are. */
function toConnectError(error: unknown, signal: AbortSignal, log: Log): ConnectError {
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded)
    return new ConnectError('context deadline exceeded', Code.DeadlineExceeded)
  if (error instanceof ConnectError) return error
  if (signal.aborted && signal.reason instanceof ConnectError) return toConnectError(signal.reason, signal, log)
  return connectError(toAppError(error, signal, log))
}

/**
 * Puts every RPC that the library serves behind `toConnectError`, the items of its response stream included, and logs
 * it.
 */
export function errorBoundary({ log, access }: Pick<CallDeps, 'log' | 'access'>): Interceptor {
  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`
    const operation = { id: request.contextValues.get(operationKey), method, started: performance.now() }
    if (request.method.methodKind !== 'unary') access.streamStarted(operation)
    const fail = (error: unknown) => {
      const known = toConnectError(error, request.signal, log)
      access.finished(operation, wireName(Code[known.code] ?? 'Unknown'))
      return known
    }
    try {
      const response = await next(request)
      if (response.stream) return { ...response, message: guarded(response.message, { operation, access, fail }) }
      access.finished(operation, 'ok')
      return response
    } catch (error) {
      throw fail(error)
    }
  }
}

interface Guard {
  readonly operation: Operation
  readonly access: AccessLog
  /** Logs the failure, and returns what the client receives. */
  readonly fail: (error: unknown) => ConnectError
}

async function* guarded<T>(messages: AsyncIterable<T>, { operation, access, fail }: Guard): AsyncGenerator<T, void> {
  // The library stops asking when the client is gone.
  let code: string | undefined = 'canceled'
  try {
    yield* messages
    code = 'ok'
  } catch (error) {
    code = undefined
    throw fail(error)
  } finally {
    if (code !== undefined) access.finished(operation, code)
  }
}
