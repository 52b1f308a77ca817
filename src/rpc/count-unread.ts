import type { BudgetOwner } from '../budget/budget.ts'
import type { StreamCost, StreamFrames, UnreadFrames } from '../budget/unread-frames.ts'
import type { Caller } from '../calls/caller.ts'
import type { RawResponse } from './stream-writer.ts'

/** What is beside the frames, and how many copies there are of each. */
type Cost = Omit<StreamCost, 'evict'>

/**
 * Counts the frames of a response until its client has taken all, or is gone; one that takes nothing may lose its
 * connection. Throws as `UnreadFrames.open`.
 */
export function countUnread(
  unread: UnreadFrames,
  response: RawResponse,
  { connection, user = '' }: Pick<Caller, 'connection' | 'user'>,
  cost: Cost = {},
): StreamFrames {
  const owner: BudgetOwner = { connection, user }
  const frames = unread.open(owner, { ...cost, evict: () => response.destroy() })
  response.once('close', frames.release)
  if (response.destroyed) frames.release()
  return frames
}
