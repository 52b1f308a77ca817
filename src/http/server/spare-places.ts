import type { Socket } from 'node:net'
import { beginsUrgent, URGENT_BYTES } from './entrance.ts'

/** Connections beyond the limit at a time; the oldest makes room for a new one. */
const MAX_SPARE = 64

/** Places for what is answered at once, such as a health check, when no other connection may be ended for it. */
interface SparePlaces {
  /** Gives a connection beyond the limit a place until it closes. */
  add(socket: Socket): void
  /** Whether a connection that begins so may stay: it is within the limit, or its first request is answered at once. */
  mayStay(socket: Socket, beginning: Buffer): boolean
}

/** Makes the places, all of them free. */
export function createSparePlaces(): SparePlaces {
  const taken = new Set<Socket>()
  return {
    add: (socket) => {
      const [oldest] = taken
      if (oldest !== undefined && taken.size >= MAX_SPARE) {
        taken.delete(oldest)
        oldest.destroy()
      }
      taken.add(socket)
      socket.once('close', () => taken.delete(socket))
    },
    mayStay: (socket, beginning) => !taken.has(socket) || beginsUrgent(beginning.toString('latin1', 0, URGENT_BYTES)),
  }
}
