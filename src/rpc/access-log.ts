import type { FinishedCall } from '../calls/finished-call.ts'
import type { ServiceTable } from '../calls/service-table.ts'
import type { Log } from '../log.ts'

/** A call that is under way. */
export interface Operation {
  /** Counts the requests of this process. */
  readonly id: string
  /** `package.Service/Method`. */
  readonly method: string
  /** On the clock of performance.now(). */
  readonly started: number
}

/** Bytes that a call took and returned, as far as they are known. Never anything of it. */
interface CallSizes {
  readonly request_bytes?: number | undefined
  readonly response_bytes?: number | undefined
}

/** Logs calls: each counts once, and has one line when it is over; a stream has another one when it begins. */
export interface AccessLog {
  streamStarted(operation: Operation): void
  /** @param code `ok`, or Connect's name of the error. */
  finished(operation: Operation, code: string, sizes?: CallSizes): void
}

/** Where calls are logged. */
export interface AccessLogOptions {
  /** Each names the logger of its calls, which its feature logs under as well. */
  readonly services: readonly Pick<ServiceTable, 'service' | 'logger'>[]
  readonly log: Log
  readonly countCall: (call: FinishedCall) => void
}

/** Ends of streams that are worth a look without every call: the client left, or its time was over (contract N42). */
const STREAM_END_LEVELS: Readonly<Record<string, 'info' | 'warn'>> = { canceled: 'info', deadline_exceeded: 'warn' }

/** Makes the access log of all calls. */
export function createAccessLog({ services, log, countCall }: AccessLogOptions): AccessLog {
  const loggers = new Map(services.map(({ service, logger }) => [service.typeName, log.named(logger)]))
  const logOf = (method: string) => loggers.get(method.slice(0, method.indexOf('/'))) ?? log
  const streams = new WeakSet<Operation>()
  return {
    streamStarted(operation) {
      const { id, method } = operation
      streams.add(operation)
      logOf(method).debug({ operation_id: id, method }, 'rpc_stream_start')
    },
    finished(operation, code, sizes) {
      const { id, method, started } = operation
      const milliseconds = performance.now() - started
      countCall({ method, code, seconds: milliseconds / 1000 })
      const ms = Math.round(milliseconds * 1000) / 1000
      const stream = streams.has(operation)
      const level = (stream ? STREAM_END_LEVELS[code] : undefined) ?? 'debug'
      logOf(method)[level]({ operation_id: id, method, code, ms, ...sizes }, stream ? 'rpc_stream_end' : 'rpc')
    },
  }
}
