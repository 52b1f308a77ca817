import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import type { FastifyInstance } from 'fastify'

/** `/slow` answers its first part at once and the rest when `finish` is called. */
export function slowRoute(): {
  route: (app: FastifyInstance) => void
  readonly begun: () => number
  finish: () => void
} {
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

/** The caller closes it. */
export function openSession(port: number): Promise<ClientHttp2Session> {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  session.on('error', () => {})
  return once(session, 'connect').then(() => session)
}

/** The status of a GET, once its stream has ended. */
export async function status(session: ClientHttp2Session, path: string): Promise<number | undefined> {
  const stream = session.request({ ':path': path })
  const [headers] = await once(stream, 'response')
  stream.resume()
  await once(stream, 'close')
  return headers[':status']
}
