import type { Connection, ConnectionState } from '../connection.ts'
import { FileFailure } from './failure.ts'

/** Failures that follow each other without a byte between them, before the user must resume it. */
export const MAX_FAILURES = 6

/** Milliseconds before the next attempt, after the first failure. */
const FIRST_PAUSE_MS = 250

/** Whether another attempt may do better: after a lost connection (status 0), a daemon that has ended or is busy. */
export function canGoOn(status: number): boolean {
  return [0, 408, 423, 429].includes(status) || (status >= 500 && status !== 507)
}

/**
 * Waits before the next attempt, the longer the more have failed, and until the daemon answers. Resolves with whether
 * it did at first. Rejects with the signal's reason.
 */
export async function pause(
  connection: Connection,
  { failures, signal }: { readonly failures: number; readonly signal: AbortSignal },
): Promise<ConnectionState> {
  await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** (failures - 1)))
  const state = await connection.check()
  await connection.returned(signal)
  return state
}

/**
 * Rejects with FileFailure if the file cannot be read: the browser says no more of one that has changed on its disk
 * than of a connection that was lost.
 */
export async function checkReadable(file: File): Promise<void> {
  await file
    .slice(0, 1)
    .arrayBuffer()
    .catch((cause: unknown) => {
      throw new FileFailure('The file has changed, or cannot be read any more', 0, { cause })
    })
}
