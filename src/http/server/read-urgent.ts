import { readSync } from 'node:fs'
import type { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { beginning } from '../../native/accept.ts'
import { beginsUrgent, URGENT_BYTES } from './entrance.ts'

/** A request that is answered at once, with the headers of a browser; what is beyond it comes as everything else. */
const MAX_BYTES = 4096

/** Connections that are looked at again in one turn of the event loop, some 2 µs each. */
const MAX_SILENT = 128

/**
 * Reads the first bytes of new connections, if they begin a request that is answered at once, and puts them back. Node
 * would read them in the next turn of the event loop only, which is as long as others have work for it. What has said
 * nothing yet is looked at once more at the end of the turn.
 * @returns to be called for each new connection, which it returns, before anything else reads it.
 */
export function createUrgentReads(): (socket: Socket) => Socket {
  const first = Buffer.alloc(URGENT_BYTES)
  let silent: Socket[] = []
  const lookAgain = () => {
    const sockets = silent
    silent = []
    for (const socket of sockets) if (socket.bytesRead === 0) look(socket)
  }
  /** The bytes that are there. */
  const look = (socket: Socket): number => {
    const descriptor = descriptorOf(socket)
    if (descriptor === undefined) return 0
    const length = beginning(descriptor, first)
    if (length > 0 && beginsUrgent(first.subarray(0, length))) putBack(socket, descriptor)
    return length
  }
  return (socket) => {
    const isSilent = look(socket) === 0
    if (isSilent && silent.length < MAX_SILENT && silent.push(socket) === 1) setImmediate(lookAgain)
    return socket
  }
}

function putBack(socket: Socket, descriptor: number): void {
  try {
    const bytes = Buffer.allocUnsafe(MAX_BYTES)
    // It has something to read, and never waits.
    socket.unshift(bytes.subarray(0, readSync(descriptor, bytes)))
  } catch {
    // It has failed since, which Node will find as well.
  }
}
