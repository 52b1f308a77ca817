import { type ClientRequest, type IncomingMessage, request as send } from 'node:http'
import { connect, type Socket } from 'node:net'
import { freeNow } from '../../budget/memory.ts'
import { errnoOf } from '../../errors.ts'
import { joinPieces } from '../server/join-pieces.ts'
import { readInTurns } from './read-in-turns.ts'

/** Loopback answers at once, unless the queue of a server that accepts nothing is full. */
const CONNECT_MS = 5_000

/** Bytes that may wait in each of the buffers of a connection. */
const BUFFER_BYTES = 16 * 1024

/** Provisional answers (1xx) before the answer; programs send one or two. Node looks at each, and sets no limit. */
const MAX_PROVISIONAL = 64

/** Nothing listens there. */
const CLOSED = new Set(['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH', 'EAFNOSUPPORT'])

/**
 * A connection to a port of this machine: 127.0.0.1, or else ::1. Resolves once it is open; undefined where nothing
 * listens. Rejects as connect(2) fails otherwise, also when the connection takes too long or the signal is aborted. The
 * caller ends it.
 */
export async function connectToPort(port: number, signal: AbortSignal): Promise<Socket | undefined> {
  for (const host of ['127.0.0.1', '::1']) {
    try {
      const socket = await opened(host, port, signal)
      if (!isItself(socket)) return socket
      socket.destroy()
    } catch (error) {
      if (!CLOSED.has(errnoOf(error) ?? '')) throw error
    }
  }
  return undefined
}

function opened(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const options = { host, port, noDelay: true, highWaterMark: BUFFER_BYTES }
  const socket = connect(options)
  const late = setTimeout(() => socket.destroy(new Error('the connection takes too long')), CONNECT_MS)
  const leave = () => socket.destroy(new Error('the client has left'))
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave, { once: true })
  socket.once('connect', () => resolve(socket))
  // It stays: what ends later must not be thrown.
  socket.on('error', reject)
  return promise.finally(() => {
    clearTimeout(late)
    signal.removeEventListener('abort', leave)
  })
}

/** A connection to a port without a listener may be given that port as its own, and then answers itself. */
function isItself({ localPort, remotePort, localAddress, remoteAddress }: Socket): boolean {
  return localPort === remotePort && localAddress === remoteAddress
}

/** What is sent by such a connection, for one request alone. */
interface Outgoing {
  readonly method: string
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
}

/** Begins a request. Throws for a path that cannot be sent. */
export function requestBy(socket: Socket, { method, path, headers }: Outgoing): ClientRequest {
  if (socket.destroyed) throw new Error('the port has left')
  readInTurns(socket)
  const outgoing = send({ createConnection: () => socket, method, path, headers: [...headers] })
  // After the parser, which hands on copies: what is left to the garbage collector adds up with many ports.
  outgoing.once('socket', () => socket.on('data', freeNow))
  outgoing.prependOnceListener('upgrade', () => socket.off('data', freeNow))
  return outgoing
}

/**
 * The answer, or `upgraded` with what came after its headers. Rejects when the connection ends without one, or sends
 * provisional answers without end.
 */
export function answerOf(
  outgoing: ClientRequest,
): Promise<{ readonly response: IncomingMessage; readonly upgraded: Buffer | undefined }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    response: IncomingMessage
    upgraded: Buffer | undefined
  }>()
  outgoing.on('response', (response) => {
    // Its end is seen by who reads it.
    response.on('error', () => {})
    joinPieces(response)
    resolve({ response, upgraded: undefined })
  })
  // Of its own, as the piece that it came with is freed.
  outgoing.on('upgrade', (response, _socket, head: Buffer) => resolve({ response, upgraded: Buffer.from(head) }))
  let provisional = 0
  outgoing.on('information', () => {
    if (++provisional > MAX_PROVISIONAL) outgoing.destroy(new Error('provisional answers do not end'))
  })
  outgoing.on('error', reject)
  return promise
}
