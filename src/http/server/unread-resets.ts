import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { descriptorOf } from '../../lib/descriptor.ts'
import { wasReset } from '../../native/index.ts'

const INTERVAL_MS = 5_000

/** Connections that are looked at in one turn of the event loop: less than a millisecond. */
const AT_ONCE = 256

/** Node reads so much of a body ahead, and goes on to look at the connection while that is all. */
const READ_AHEAD_BYTES = 64 * 1024

/** Connections with a request under way that has a long body. There is a timer as long as there are some. */
const receiving = new Set<Socket>()
let timer: NodeJS.Timeout | undefined

/**
 * Ends the connection of a request if it is reset before all of the body was read: Node does not notice that as long as
 * nothing is read, as of input for a process that reads none, or of what waits to be discarded.
 */
export function noticeReset(request: IncomingMessage): void {
  const { socket } = request
  if (receiving.has(socket) || !isLong(request)) return
  receiving.add(socket)
  timer ??= setInterval(look, INTERVAL_MS).unref()
  request.once('close', () => {
    receiving.delete(socket)
    if (receiving.size > 0) return
    clearInterval(timer)
    timer = undefined
  })
}

function isLong({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > READ_AHEAD_BYTES
}

async function look(): Promise<void> {
  const sockets = [...receiving]
  for (let at = 0; at < sockets.length; at += AT_ONCE) {
    for (const socket of sockets.slice(at, at + AT_ONCE)) if (isReset(socket)) socket.destroy()
    await setImmediate()
  }
}

function isReset(socket: Socket): boolean {
  const descriptor = descriptorOf(socket)
  try {
    return descriptor !== undefined && wasReset(descriptor)
  } catch {
    // Not TCP, or not known.
    return false
  }
}
