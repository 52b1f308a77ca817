import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ByteBudget } from '../../budget/budget.ts'
import { basicUsername } from '../access/basic-user.ts'
import { connectionOf } from './connection.ts'

/** Answers below this are not worth an account: the connection itself takes more. */
const MIN_HELD_BYTES = 4096

/** Whose answer it is, and where it is counted. */
interface Answering {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly budget: ByteBudget
}

/**
 * Holds the bytes of an answer, of which nothing was sent, until the client has taken it or is gone. Throws AppError
 * `budget_spent`.
 */
export function holdAnswer(bytes: number, { request, response, budget }: Answering): void {
  if (bytes < MIN_HELD_BYTES) return
  const user = basicUsername(request.headers.authorization) ?? ''
  const hold = budget.hold('frame', { connection: connectionOf(request), user })
  hold.grow(bytes)
  if (response.destroyed) hold.release()
  else response.once('close', () => hold.release())
}
