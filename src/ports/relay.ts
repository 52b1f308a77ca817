import { connect, type Socket } from 'node:net'
import { freeNow } from '../budget/memory.ts'
import { moveInTurns } from '../lib/move-in-turns.ts'

/** Where a connection is handed on to. */
export interface Target {
  readonly host: string
  readonly port: number
}

/**
 * Idle time after which the kernel asks whether the peers are still there; a client that lost its network would stay
 * for ever.
 */
const KEEPALIVE_MS = 60_000

/**
 * Hands a connection on, byte for byte in both directions, as fast as the slower side takes them. The end of one
 * direction is passed on alone (half-close); a side that breaks resets the other. At most some 128 KiB wait here for
 * each direction. Returns the second socket; both end by themselves, or when one is destroyed.
 * @param client made with allowHalfOpen.
 */
export function relay(client: Socket, target: Target): Socket {
  const server = connect({ ...target, allowHalfOpen: true })
  join(client, server)
  join(server, client)
  return server
}

function join(from: Socket, to: Socket): void {
  from.setNoDelay(true)
  from.setKeepAlive(true, KEEPALIVE_MS)
  // 'close' follows.
  from.on('error', () => {})
  from.once('close', () => {
    if (!from.readableEnded || !from.writableFinished) to.resetAndDestroy()
  })
  moveInTurns(from, to, freeNow)
}
