import { type EventEmitter, once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { call, enveloped } from '../_util/rpc.ts'

const REPEATS = 60
const SESSIONS = 10
const START = enveloped(Buffer.from('{"process":{"cmd":"true"}}'))
const INPUT = enveloped(Buffer.from(JSON.stringify({ start: { process: { pid: 999_999_999 } } })))
const SOME = INPUT.length + 700
const BODY = Buffer.concat([INPUT, enveloped(Buffer.alloc(100_000, 0x20))])

const CALLS = [
  ['process.Process/StreamInput', 'application/connect+json', BODY.subarray(0, SOME)],
  ['process.Process/StreamInput', 'application/grpc-web+json', BODY.subarray(0, SOME)],
  ['process.Process/Start', 'application/grpc-web+json', START],
  ['process.Process/Start', 'application/connect+json', START],
  ['process.Process/List', 'application/json', Buffer.from('{')],
  ['process.Process/SendInput', 'application/json', gzipSync(Buffer.alloc(300_000, 0x20)).subarray(0, 100)],
  ['init', 'application/json', Buffer.from('{')],
  ['files?path=/tmp/broken-body', 'application/octet-stream', Buffer.alloc(1000)],
] as const

type End = 'no HTTP' | 'reset' | 'close'

/** Sends a body in chunks that are not ended, and then what breaks it. Resolves with the answer. */
async function breakOff(port: number, [path, type, body]: (typeof CALLS)[number], end: End): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.write(`POST /${path} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`)
  socket.write(`${body.length.toString(16)}\r\n`)
  socket.write(body)
  if (end === 'no HTTP') socket.write('\r\nzz\r\n')
  else setTimeout(() => (end === 'reset' ? socket.resetAndDestroy() : socket.destroy()), Math.random() * 10)
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

test('A28 a body that breaks off is one call less, and no fault of the daemon', async () => {
  await using daemon = await startDaemon()
  for (let i = 0; i < REPEATS; i++)
    await Promise.all(
      CALLS.flatMap((broken) =>
        (['no HTTP', 'reset', 'close'] as const).map((end) => breakOff(daemon.port, broken, end)),
      ),
    )
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
  await daemon.stop()
  expect(daemon.stdout()).not.toMatch(/unexpected|could not be answered/)
  expect(daemon.stderr()).toBe('')
})

test('A28 a client of HTTP/1.1 whose body is no HTTP gets 400', async () => {
  await using daemon = await startDaemon()
  for (const broken of CALLS.filter(([, , body]) => body !== START))
    expect(await breakOff(daemon.port, broken, 'no HTTP'), broken[0]).toMatch(/^HTTP\/1\.1 400 /)
})

/** Something came, or will not come: a call may be refused. */
const begun = (stream: EventEmitter) =>
  new Promise<void>((resolve) => {
    stream.once('data', () => resolve()).once('close', () => resolve())
  })

test('A28 a gRPC client that leaves while output is on its way leaves nothing on standard error', async () => {
  await using daemon = await startDaemon()
  const noisy = enveloped(Buffer.from('{"process":{"cmd":"/bin/sh","args":["-c","yes | head -c 600000"]}}'))
  const headers = { ':method': 'POST', ':path': '/process.Process/Start', te: 'trailers' }
  for (let i = 0; i < SESSIONS; i++) {
    const session = connectHttp2(daemon.url).on('error', () => {})
    const streams = Array.from({ length: 4 }, () =>
      session.request({ ...headers, 'content-type': 'application/grpc+json' }).on('error', () => {}),
    )
    for (const stream of streams) stream.end(noisy)
    await Promise.all(streams.map(begun))
    streams[0]?.close(8)
    session.destroy()
  }
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
  await daemon.stop()
  expect(daemon.stdout()).not.toMatch(/unexpected|could not be answered/)
  expect(daemon.stderr()).toBe('')
})
