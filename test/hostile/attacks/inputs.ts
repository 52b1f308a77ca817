import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { asUser, call, enveloped, pidOf, start } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { listening } from './services.ts'
import { unread } from './unread.ts'

/** A command that reads nothing, and whose pipe is full. As another user than the attackers. */
async function deaf({ daemon, held }: Field): Promise<number> {
  const headers = asUser('root')
  const stream = await start(daemon.url, '/bin/sleep', { args: ['1000'], headers })
  const pid = await pidOf(stream)
  held.defer(async () => {
    stream.close()
    await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
  })
  const fill = { process: { pid }, input: { stdin: Buffer.alloc(100_000).toString('base64') } }
  void call(daemon.url, 'process.Process/SendInput', fill, { headers, signal: AbortSignal.timeout(30_000) }).catch(
    () => {},
  )
  return pid
}

const json = (message: unknown) => enveloped(Buffer.from(JSON.stringify(message)))

/** Names the command, gives it a byte, which waits, and then as much as is taken. */
function inputTo(pid: number, bytes: number): Buffer {
  const first = json({ start: { process: { pid } } })
  return Buffer.concat([first, json({ data: { input: { stdin: 'eA==' } } }), enveloped(Buffer.alloc(bytes, ' '))])
}

/** So many streams over each of so many connections of HTTP/2, whose bodies have no end. */
async function overHttp2(field: Field, connections: number, headers: Record<string, string>, body: Buffer) {
  await allOf(connections, 8, async () => {
    const session = connectHttp2(field.daemon.url)
    session.on('error', () => {})
    field.held.defer(() => session.destroy())
    await once(session, 'remoteSettings')
    for (let stream = 0; stream < 400; stream++) {
      const request = session.request({ ':method': 'POST', ...headers })
      request.on('error', () => {}).resume()
      request.write(body)
      if (stream % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
}

const PATH = '/process.Process/StreamInput'
const BODY_BYTES = 2 ** 20

export const inputs: readonly Attack[] = [
  {
    name: 'inputs that wait for a command, over one connection of HTTP/2',
    run: async (field) => {
      const headers = { ':path': PATH, 'content-type': 'application/connect+json' }
      await overHttp2(field, 1, headers, inputTo(await deaf(field), BODY_BYTES))
    },
  },
  {
    name: 'inputs that wait for a command, over many connections of HTTP/2',
    run: async (field) => {
      const headers = { ':path': PATH, 'content-type': 'application/grpc+json', te: 'trailers' }
      await overHttp2(field, scaled(40, field), headers, inputTo(await deaf(field), BODY_BYTES))
    },
  },
  {
    name: 'bodies over HTTP/2 that wait for a port which reads none',
    run: async (field) => {
      const port = await listening(
        createServer((request) => void request.pause()),
        field,
      )
      await overHttp2(field, scaled(40, field), { ':path': `/ports/${port}/` }, Buffer.alloc(BODY_BYTES))
    },
  },
  {
    name: 'inputs that wait for a command, over HTTP/1.1',
    run: async (field) => {
      const body = inputTo(await deaf(field), 200_000)
      const head = `POST ${PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n`
      const request = Buffer.concat([Buffer.from(`${head}Content-Length: 10000000\r\n\r\n`), body])
      await allOf(scaled(4000, field), 50, () => unread(field, request))
    },
  },
]
