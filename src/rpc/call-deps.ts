import type { ByteBudget } from '../budget/budget.ts'
import type { UnreadFrames } from '../budget/unread-frames.ts'
import type { OpenStreams } from '../calls/open-streams.ts'
import type { ServiceTable } from '../calls/service-table.ts'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import type { Compressors } from '../http/transfer/compressors.ts'
import type { AccessLog, AccessLogOptions } from './access-log.ts'

/** What the RPC routes are made of. */
export interface RpcDeps extends AccessLogOptions {
  readonly services: readonly ServiceTable[]
  readonly bodies: RequestBodies
  readonly budget: ByteBudget
  readonly unread: UnreadFrames
  readonly compressors: Compressors
  /** Where server streams are listed. */
  readonly streams: OpenStreams
  /** Aborts, with an AppError, when the daemon stops. */
  readonly shutdown: AbortSignal
}

export interface CallDeps extends Omit<RpcDeps, 'countCall' | 'services'> {
  readonly access: AccessLog
}
