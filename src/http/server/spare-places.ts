import type { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { beginning } from '../../native/accept.ts'
import { beginsUrgent, URGENT_BYTES } from './entrance.ts'

/** Connections beyond the limit at a time; the oldest makes room for a new one. */
const MAX_SPARE = 64

/** Milliseconds in which such a connection must say what it wants: a health check does so at once. */
const SPARE_SILENCE_MS = 2000

/** Places for what is answered at once, such as a health check, when no other connection may be ended for it. */
interface SparePlaces {
  /**
   * Gives a connection beyond the limit a place until it closes; destroys one that has begun with what may not stay.
   * @returns milliseconds in which it must say what it wants.
   */
  add(socket: Socket): number
  /** Whether a connection that begins so may stay: it is within the limit, or its first request is answered at once. */
  mayStay(socket: Socket, beginning: Buffer): boolean
}

/** Makes the places, all of them free. */
export function createSparePlaces(): SparePlaces {
  const taken = new Set<Socket>()
  const first = Buffer.alloc(URGENT_BYTES)
  return {
    add: (socket) => {
      const descriptor = descriptorOf(socket)
      const come = first.subarray(0, descriptor === undefined ? 0 : beginning(descriptor, first))
      // Many such at once would have the places of health checks that have just come.
      if (come.length > 0 && !beginsUrgent(come)) socket.destroy()
      if (socket.destroyed) return SPARE_SILENCE_MS
      const [oldest] = taken
      if (oldest !== undefined && taken.size >= MAX_SPARE) {
        taken.delete(oldest)
        oldest.destroy()
      }
      taken.add(socket)
      socket.once('close', () => taken.delete(socket))
      return SPARE_SILENCE_MS
    },
    mayStay: (socket, beginning) => !taken.has(socket) || beginsUrgent(beginning),
  }
}
