import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { sendWhole } from '../../_util/http.ts'
import { call, start } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { frame, PREFACE } from './connections.ts'
import { unread } from './unread.ts'

const MIB = 2 ** 20

/** A unary call with a body that inflates to `payload`. */
async function zipped(url: string, type: string, payload: Buffer): Promise<void> {
  await sendWhole(`${url}/process.Process/List`, {
    method: 'POST',
    headers: { 'content-type': type, 'content-encoding': 'gzip' },
    body: gzipSync(payload),
  })
}

/** `open`, then `item` up to so many bytes, then `close`. */
function repeated(open: string, item: string, close: string, bytes: number): Buffer {
  return Buffer.from(open + item.repeat(Math.floor(bytes / item.length)) + close)
}

export const bodies: readonly Attack[] = [
  {
    name: 'gzip that inflates to a million unknown JSON objects',
    run: async (field) => {
      const bomb = repeated('{"x":[{}', ',{}', ']}', scaled(16 * MIB, field))
      await allOf(8, 4, () => zipped(field.daemon.url, 'application/json', bomb))
    },
  },
  {
    name: 'gzip that inflates to millions of unknown protobuf fields',
    run: async (field) => {
      const bomb = Buffer.alloc(scaled(16 * MIB, field) & ~1, Buffer.from([0x28, 0x01]))
      await allOf(8, 4, () => zipped(field.daemon.url, 'application/proto', bomb))
    },
  },
  {
    name: 'nested lists for /init without a token',
    run: async (field) => {
      const body = repeated('[[]', ',[]', ']', scaled(16 * MIB, field))
      await allOf(6, 3, () => sendWhole(`${field.daemon.url}/init`, { method: 'POST', body }))
    },
  },
  {
    name: 'half-sent bodies of 60 MB',
    run: (field) => allOf(scaled(40, field), 40, (index) => halfSent(field, index % 2 === 0)),
  },
  {
    name: 'input of 15 MB for commands that sleep',
    run: async (field) => {
      const { url } = field.daemon
      const input = Buffer.alloc(15 * MIB).toString('base64')
      const pids: number[] = []
      for (let left = scaled(60, field); left > 0; left--) {
        const stream = await start(url, '/bin/sleep', { args: ['600'] })
        pids.push((await stream.next()).event.start?.pid ?? 0)
        field.held.defer(async () => {
          stream.close()
          await call(url, 'process.Process/SendSignal', { process: { pid: pids.pop() }, signal: 'SIGNAL_SIGKILL' })
        })
      }
      const controller = new AbortController()
      field.held.defer(() => controller.abort())
      for (const pid of pids) {
        const message = { process: { pid }, input: { stdin: input } }
        // A call waits for a reader that never comes, or is refused; either way the next one follows.
        const answered = call(url, 'process.Process/SendInput', message, { signal: controller.signal }).catch(() => {})
        await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 100))])
      }
    },
  },
  {
    name: 'bodies in chunks of a byte that nobody reads',
    run: (field) => {
      const chunks = '1\r\nx\r\n'.repeat(12_000)
      return allOf(scaled(400, field), 50, async (index) => {
        const path = CHUNKED[index % CHUNKED.length]
        const type = path === '/process.Process/StreamInput' ? 'connect+json' : 'octet-stream'
        const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/${type}\r\n`
        await unread(field, `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}`)
      })
    },
  },
  {
    name: 'silent connections that all bring bodies in chunks of a byte at once',
    run: async (field) => {
      const sockets = Array.from({ length: scaled(800, field) }, () => {
        const socket = connect({ host: '127.0.0.1', port: field.daemon.port }).pause()
        field.held.defer(() => void socket.resetAndDestroy())
        return socket.on('error', () => {})
      })
      await Promise.all(sockets.map((socket) => once(socket, 'connect')))
      // Answered behind them: they are let in.
      await sendWhole(`${field.daemon.url}/health`)
      const chunks = '1\r\nx\r\n'.repeat(12_000)
      for (const [index, socket] of sockets.entries()) {
        const path = CHUNKED[index % CHUNKED.length]
        socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`)
      }
    },
  },
  {
    name: 'bodies over HTTP/2 in frames of a byte that nobody reads',
    run: (field) =>
      allOf(scaled(200, field), 20, (index) => {
        const path = CHUNKED[index % CHUNKED.length] ?? ''
        const streams = Array.from({ length: 20 }, (_, at) => 2 * at + 1)
        const begin = streams.map((id) => frame(1, 4, id, requestHeaders(path)))
        const pieces = streams.map((id) => {
          const piece = frame(0, 0, id, Buffer.from('x'))
          return Buffer.alloc(piece.length * 1000, piece)
        })
        return unread(field, Buffer.concat([PREFACE, ...begin, ...pieces]))
      }),
  },
]

/** Routes that read their bodies late, by and by, or not at all. */
const CHUNKED = [
  '/init',
  '/files?path=/tmp/bytes',
  '/process.Process/List',
  '/process.Process/StreamInput',
  '/ports/1/',
  '/none',
] as const

/** POST http with a path, `:authority: a` and the type of a stream (RFC 7541 6.2.2). */
function requestHeaders(path: string): Buffer {
  const literal = (name: string, value: string) =>
    Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])
  const fields = [literal(':path', path), literal(':authority', 'a')]
  return Buffer.concat([Buffer.of(0x83, 0x86), ...fields, literal('content-type', 'application/connect+json')])
}

/** Announces 60 MB and sends most of them; waits until nothing more is taken, or the daemon hangs up. */
async function halfSent({ daemon, held }: Field, chunked: boolean): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: daemon.port })
  held.defer(() => void socket.destroy())
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
  socket.on('error', () => {})
  socket.resume()
  const length = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${60 * MIB}`
  socket.write(
    `POST /process.Process/SendInput HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n\r\n`,
  )
  const part = Buffer.alloc(MIB, 0x20)
  for (let left = 55; left > 0 && !socket.destroyed; left--) {
    if (chunked) socket.write(`${MIB.toString(16)}\r\n`)
    const room = socket.write(part)
    if (chunked) socket.write('\r\n')
    if (room) continue
    const drained = new Promise<boolean>((resolve) => socket.once('drain', () => resolve(true)))
    const stuck = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 300).unref())
    if (!(await Promise.race([drained, stuck, closed.then(() => false)]))) return
  }
}
