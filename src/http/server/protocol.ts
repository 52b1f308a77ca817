import type { Socket } from 'node:net'
import { stopReading } from './reading.ts'

/** What a connection speaks, as its first bytes show. */
export type Protocol = 'http1' | 'http2'

/** "PRI": the HTTP/2 preface (RFC 9113, 3.4) starts so, and no HTTP/1.1 method does. */
const PREFACE = Buffer.from('PRI')

/**
 * Reads the first bytes of a connection, at least one and at most three, decides, and puts them back before it calls
 * `decided`, in a later tick. Nothing more is read until `startReading`. The socket is destroyed instead when it ends,
 * fails or stays silent; this function leaves no listener behind except one for errors.
 * @param timeout milliseconds without a byte after which it is dropped.
 * @param decided is called with the bytes that were read, and are put back.
 */
export function detectProtocol(
  socket: Socket,
  timeout: number,
  decided: (protocol: Protocol, beginning: Buffer) => void,
): void {
  let seen: Buffer = Buffer.alloc(0)
  const look = () => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, PREFACE.length)
    const same = seen.compare(PREFACE, 0, length, 0, length) === 0
    if (same && length < PREFACE.length) return
    socket.off('readable', look).off('end', giveUp).off('timeout', giveUp)
    socket.setTimeout(0)
    stopReading(socket)
    socket.unshift(seen)
    // Node takes note of the listener's end in the next tick; who pauses the connection before would be overruled.
    process.nextTick(() => {
      if (!socket.destroyed) decided(same ? 'http2' : 'http1', seen)
    })
  }
  // It stays: a closure would hold the first bytes as long as the connection is open.
  socket.on('error', giveUp)
  socket.setTimeout(timeout)
  socket.on('timeout', giveUp).on('end', giveUp).on('readable', look)
}

function giveUp(this: Socket): void {
  this.destroy()
}
