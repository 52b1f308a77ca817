import { Code, ConnectError, type Interceptor } from '@connectrpc/connect'
import type { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { AccessLog, Operation } from './access-log.ts'
import type { CallDeps } from './call-deps.ts'
import { toAppError, wireError } from './call-error.ts'
import { operationKey } from './operation.ts'

/** The library's number of a code by its name on the wire: `not_found`. */
const codes = new Map(
  Object.entries(Code).flatMap(([name, code]) => (typeof code === 'number' ? [[wireName(name), code] as const] : [])),
)

function wireName(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/** An AppError as the library wants it. */
export function connectError(error: AppError): ConnectError {
  const { code, message } = wireError(error)
  return new ConnectError(message, codes.get(code) ?? Code.Unknown)
}

/** What the client is told (`toAppError`), as the library wants it; the library's own errors stay as they are. */
function toConnectError(error: unknown, signal: AbortSignal, log: Log): ConnectError {
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded)
    return new ConnectError('context deadline exceeded', Code.DeadlineExceeded)
  if (error instanceof ConnectError) return error
  if (signal.aborted && signal.reason instanceof ConnectError) return toConnectError(signal.reason, signal, log)
  return connectError(toAppError(error, signal, log))
}

/** Puts every RPC that the library serves behind `toConnectError`, the items of its response stream included, and logs it. */
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
  /** Logs the failure, gives what the client is told. */
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
