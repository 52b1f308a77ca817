import { ConnectError } from '@connectrpc/connect'

/** What a call that failed says to people: the daemon's own words, where they are. */
export function reasonOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage
  return error instanceof Error ? error.message : String(error)
}
