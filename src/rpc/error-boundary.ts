import { Code, ConnectError, type Interceptor } from '@connectrpc/connect'
import type { Log } from '../log.ts'
import { type CallReport, logCall, toAppError, wireError } from './call-error.ts'

/** The library's number of a code by its name on the wire: `not_found`. */
const codes = new Map(
  Object.entries(Code).flatMap(([name, code]) => (typeof code === 'number' ? [[wireName(name), code] as const] : [])),
)

function wireName(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}

/** What the client is told (`toAppError`), as the library wants it; the library's own errors stay as they are. */
function toConnectError(error: unknown, signal: AbortSignal, log: Log): ConnectError {
  if (error instanceof ConnectError && error.code === Code.DeadlineExceeded)
    return new ConnectError('context deadline exceeded', Code.DeadlineExceeded)
  if (error instanceof ConnectError) return error
  if (signal.aborted && signal.reason instanceof ConnectError) return toConnectError(signal.reason, signal, log)
  const { code, message } = wireError(toAppError(error, signal, log))
  return new ConnectError(message, codes.get(code) ?? Code.Unknown)
}

/** Puts every RPC that the library serves behind `toConnectError`, the items of its response stream included, and logs it. */
export function errorBoundary(report: CallReport): Interceptor {
  return (next) => async (request) => {
    const started = performance.now()
    const method = `${request.service.typeName}/${request.method.name}`
    const fail = (error: unknown) => {
      const known = toConnectError(error, request.signal, report.log)
      logCall(report, { method, code: wireName(Code[known.code] ?? 'Unknown'), started })
      return known
    }
    try {
      const response = await next(request)
      if (!response.stream) {
        logCall(report, { method, code: 'ok', started })
        return response
      }
      const messages = response.message
      const guarded = async function* () {
        try {
          yield* messages
          logCall(report, { method, code: 'ok', started })
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
