import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { startFront } from '../front.ts'

/** For what takes a busy machine more than the second that a poll has otherwise. */
const SOON = { timeout: 15_000 }

/** `/slow` answers its first part at once and the rest when `finish` is called. */
function slowRoute(): { route: (app: FastifyInstance) => void; readonly begun: () => number; finish: () => void } {
  const open: (() => void)[] = []
  return {
    route: (app) => {
      app.get('/slow', (_request, reply) => {
        reply.hijack()
        reply.raw.writeHead(200)
        reply.raw.write('begin ')
        open.push(() => reply.raw.end('end'))
      })
    },
    begun: () => open.length,
    finish: () => {
      for (const end of open) end()
    },
  }
}

function openSession(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  return once(session, 'connect').then(() => session)
}

async function status(session: ClientHttp2Session, path: string): Promise<number | undefined> {
  const stream = session.request({ ':path': path })
  const [headers] = await once(stream, 'response')
  stream.resume()
  await once(stream, 'close')
  return headers[':status']
}

test('500 calls at a time on one HTTP/2 connection', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  const session = await openSession(front.port)
  const answers = Array.from({ length: 500 }, () => status(session, '/slow'))
  await expect.poll(slow.begun).toBe(500)
  slow.finish()
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]))
  session.close()
})

test('a storm of aborted calls leaves an HTTP/2 connection usable that has shown the token', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  front.token.set('secret')
  const session = await openSession(front.port)
  const call = { ':path': '/slow', 'x-access-token': 'secret' }
  for (let i = 0; i < 30; i++) {
    const streams = Array.from({ length: 100 }, () => session.request(call))
    await Promise.all(streams.map((stream) => once(stream, 'response')))
    for (const stream of streams) stream.on('error', () => {}).close(8)
  }
  for (let i = 0; i < 10; i++) {
    const burst = Array.from({ length: 500 }, () => session.request(call).on('error', () => {}))
    const torn = Promise.all(burst.map((stream) => once(stream, 'close')))
    for (const stream of burst) stream.close(8)
    await torn
  }
  // A new call may be refused until the aborted ones are torn down; the connection lives on.
  await expect.poll(() => status(session, '/health').catch(() => 'refused'), SOON).toBe(204)
  session.close()
})
