import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2, type Http2ServerRequest } from 'node:http2'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { endWith } from '../../src/rpc/stream-writer.ts'
import { startFront } from './front.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Clients; the engine may hold on to the last object that it has dealt with. */
const CLIENTS = 50
const HELD_BY_THE_ENGINE = 2

/** Sends a request to this port; gives what makes the client leave. */
type Client = (port: number) => Promise<() => void>

function http1(bytes: string): Client {
  return async (port) => {
    const socket = connect(port, '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    socket.write(bytes)
    return () => socket.destroy()
  }
}

const http2: Client = async (port) => {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {})
  session
    .request({ ':method': 'POST', ':path': '/silent' })
    .on('error', () => {})
    .end('body')
  return () => session.destroy()
}

/** What only the connection of a request should hold. */
function ofConnection(raw: IncomingMessage | Http2ServerRequest): object {
  return 'stream' in raw ? raw.stream : raw.socket
}

test.each([
  ['while they are answered', http1('POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody')],
  ['while they send', http1('POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nbody')],
  ['over HTTP/2', http2],
])('nothing is kept of clients that leave %s', async (_, begin) => {
  const seen: WeakRef<object>[] = []
  let over = 0
  const silent = (app: FastifyInstance) => {
    app.post('/silent', ({ raw }, reply) => {
      reply.hijack()
      seen.push(new WeakRef(ofConnection(raw)))
      reply.raw.once('close', () => {
        endWith(reply.raw, Buffer.from('end'))
        over++
      })
    })
  }
  await using front = await startFront({ routes: [silent] })
  for (let i = 1; i <= CLIENTS; i++) {
    const leave = await begin(front.port)
    await expect.poll(() => seen.length, { interval: 1 }).toBe(i)
    leave()
    await expect.poll(() => over, { interval: 1 }).toBe(i)
  }
  const kept = () => {
    collectGarbage()
    return seen.filter((connection) => connection.deref() !== undefined).length
  }
  await expect.poll(kept).toBeLessThanOrEqual(HELD_BY_THE_ENGINE)
})
