import type { EventEmitter } from 'node:events'

/** So many bytes for each of so many connections. */
interface Rooms {
  readonly bytes: number
  readonly connections: number
}

/**
 * Hands out sizes of buffers that connections may fill before a token was verified: the more there are, the smaller.
 */
interface ConnectionRooms {
  /** Bytes for a new connection, which has them until it closes. */
  take(connection: EventEmitter): number
}

/**
 * Shares memory out to connections, so that it is bounded in sum.
 * @param rooms the largest first; a connection takes the first that is free.
 * @param least bytes for each connection that finds none free.
 */
export function createRooms(rooms: readonly Rooms[], least: number): ConnectionRooms {
  const counted = rooms.map((room) => ({ ...room, taken: 0 }))
  return {
    take: (connection) => {
      const room = counted.find(({ taken, connections }) => taken < connections)
      if (room === undefined) return least
      room.taken++
      connection.once('close', () => room.taken--)
      return room.bytes
    },
  }
}
