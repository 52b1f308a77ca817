import type { IncomingMessage } from 'node:http'
import { type BudgetKind, type ByteBudget, bothHolds, createByteBudget } from '../../budget/budget.ts'
import { createMemory, type Memory } from '../../budget/memory.ts'
import type { AccessToken } from '../../init/access-token.ts'
import { basicUsername } from '../access/basic-user.ts'
import { connectionOf } from '../server/connection.ts'
import { type BodyOptions, readBody } from './read-body.ts'

/** Reads the bodies of requests, all of them in one budget and with one time limit of silence. */
export interface RequestBodies {
  /** Milliseconds without a byte after which a call fails. */
  readonly stallMs: number
  /** Memory for a request, on account of its connection and user. The caller releases it. */
  memoryFor(request: IncomingMessage, kind: BudgetKind): Memory
  /** `readBody`. */
  read(request: IncomingMessage, options: BodyOptions): Promise<Buffer>
}

/** Milliseconds without a byte after which a client is not waited for any more. */
const BODY_STALL_MS = 60_000

/**
 * What all that have not shown the token may hold, who may only call `/init`: some certificate bundles, or an eighth of
 * the budget.
 */
const UNVERIFIED_BYTES = 10 * 1024 * 1024
const UNVERIFIED_FRACTION = 8

/** What the bodies of requests are read with. */
interface RequestBodiesOptions {
  readonly budget: ByteBudget
  readonly token: AccessToken
  readonly stallMs?: number
}

/** Makes what reads the bodies of requests. */
export function createRequestBodies({ budget, token, stallMs = BODY_STALL_MS }: RequestBodiesOptions): RequestBodies {
  const unverified = createByteBudget(Math.max(UNVERIFIED_BYTES, budget.total / UNVERIFIED_FRACTION))
  const isUnverified = ({ headers }: IncomingMessage) => {
    const given = headers['x-access-token']
    return token.isSet && !token.matches(typeof given === 'string' ? given : undefined)
  }
  return {
    stallMs,
    memoryFor: (request, kind) => {
      // No name means the default user, whose share it is then.
      const user = basicUsername(request.headers.authorization) ?? ''
      const owner = { connection: connectionOf(request), user }
      const hold = budget.hold(kind, owner)
      if (!isUnverified(request)) return createMemory(hold)
      return createMemory(bothHolds(unverified.hold(kind, { ...owner, user: undefined }), hold))
    },
    read: (request, options) => readBody(request, options, stallMs),
  }
}
