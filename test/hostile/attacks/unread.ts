import { once } from 'node:events'
import { connect } from 'node:net'
import { enveloped } from '../../_util/rpc.ts'
import type { Field } from './attack.ts'

/** Sends a request and reads nothing of its answer. */
export async function unread({ daemon, held }: Field, request: string | Buffer): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: daemon.port })
  // What it has yet to send does not outlive it.
  held.defer(() => void socket.resetAndDestroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.pause()
  socket.write(request)
}

/** A server-streaming call over HTTP/1.1, in JSON. */
export function streamCall(method: string, message: unknown): Buffer {
  const body = enveloped(Buffer.from(JSON.stringify(message)))
  const head = `POST /${method} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

/** A unary call over HTTP/1.1, in JSON. */
export function unaryCall(method: string, message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const head = `POST /${method} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}
