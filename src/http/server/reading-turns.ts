import type { Socket } from 'node:net'
import { pauseReading, unpauseReading } from './reading.ts'

/**
 * What connections may bring in one turn of the event loop, in milliseconds of work. One that has much to say has two
 * megabytes read in a turn otherwise, and with fifty of them all other connections wait for a tenth of a
 * second.
 */
const TURN_MS = 4

/** The same for a few connections: to read on in the next turn so often costs their uploads a tenth of the speed. */
const TURN_OF_FEW_MS = 12
const FEW = 4

/** Connections that are read in turns. */
export interface ReadingTurns {
  /** Reads a connection in turns from now on, until it is closed. Idempotent. */
  add(socket: Socket): void
  /** To be called for all that one of them brings: once it was enough, the next turn goes on, with the others first. */
  work(socket: Socket): void
}

/** Makes one without a connection. */
export function createReadingTurns(): ReadingTurns {
  /** In the order in which they are read. */
  const open = new Set<Socket>()
  let worked = new Set<Socket>()
  let began: number | undefined
  let isOver = false
  const end = () => {
    const over = isOver
    const rest = worked
    began = undefined
    isOver = false
    worked = new Set()
    if (!over) return
    for (const socket of rest) if (open.delete(socket)) open.add(socket)
    for (const socket of open) if (!rest.has(socket)) unpauseReading(socket)
    // Until the kernel has reported them once more, in vain: it puts them behind the others then.
    setImmediate(() => {
      if (!isOver) for (const socket of rest) unpauseReading(socket)
    })
  }
  return {
    add: (socket) => {
      if (open.has(socket)) return
      open.add(socket)
      socket.once('close', () => open.delete(socket))
    },
    work: (socket) => {
      if (isOver) return
      worked.add(socket)
      if (began === undefined) {
        began = performance.now()
        setImmediate(end)
      } else if (performance.now() - began > (open.size > FEW ? TURN_MS : TURN_OF_FEW_MS)) {
        isOver = true
        for (const each of open) pauseReading(each)
      }
    },
  }
}
