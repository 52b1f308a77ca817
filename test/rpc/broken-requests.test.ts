import { type EventEmitter, once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { call, enveloped, open, type ProcessMessage, shell, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const daemon = sharedDaemon()

const framed = (message: unknown) => enveloped(Buffer.from(JSON.stringify(message)))
const echo = framed({
  process: { cmd: 'sh', args: ['-c', 'head -c 300000 /dev/zero; sleep 0.05; head -c 300000 /dev/zero'] },
})

const STREAM = 'content-type: application/connect+json\r\n'
const UNARY = 'content-type: application/json\r\n'
const post = (method: string, headers: string) => `POST /${method} HTTP/1.1\r\nhost: x\r\n${headers}\r\n`

async function connected(): Promise<Socket> {
  const socket = connect(daemon.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** All that the daemon says until it closes the connection; with `end` the client says that it has no more. */
async function say(parts: readonly (string | Buffer)[], end = false): Promise<string> {
  const socket = await connected()
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  for (const part of parts) socket.write(part)
  if (end) socket.end()
  await closed(socket)
  return text
}

/** Unlike `once`, it takes an error for what comes before the end. */
function closed(emitter: EventEmitter): Promise<void> {
  return new Promise((resolve) => emitter.once('close', () => resolve()))
}

async function isWell(): Promise<void> {
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
  expect(String((await shell(daemon.url, 'echo well')).stdout)).toBe('well\n')
}

test('A28 broken requests cost no other stream a byte', async () => {
  const { url } = daemon
  const victim = await start(url, 'sh', { args: ['-c', 'for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.1; done'] })
  await victim.next()
  const garbage: (string | Buffer)[][] = [
    ['GARBAGE\r\n\r\n'],
    [Buffer.from([0, 1, 2, 3, 255, 254])],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', Buffer.from([0, 0, 4, 99, 0, 0, 0, 0, 0, 1, 2, 3, 4])],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', Buffer.alloc(3000, 0xff)],
    [post('process.Process/Start', `${STREAM}content-length: 10\r\n`), 'abc'],
    [post('process.Process/Start', `${STREAM}content-length: 3\r\n`), Buffer.from([0, 0, 0, 0, 9, 1, 2])],
    [post('process.Process/Start', `${STREAM}transfer-encoding: chunked\r\n`), 'zz\r\nnot a chunk'],
    [post('process.Process/SendInput', `${UNARY}content-length: 5\r\n`), '{"pro'],
    [post('process.Process/StreamInput', `${STREAM}transfer-encoding: chunked\r\n`), '5\r\n\0\0\0\0\x05\r\n'],
    [post('process.Process/StreamInput', `${STREAM}content-length: 17\r\n`), framed({ data: {} })],
    [post('process.Process/Start', `content-type: application/grpc\r\ncontent-length: 5\r\n`), Buffer.alloc(5)],
    [
      post('process.Process/Start', `content-type: application/grpc-web+proto\r\ncontent-length: 7\r\n`),
      Buffer.alloc(7, 0xff),
    ],
  ]
  for (const parts of garbage) await say(parts, true)
  const { messages, end } = await victim.rest()
  const lines = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
  expect({ last: lines.trimEnd().split('\n').at(-1), end }).toEqual({ last: '10', end: {} })
  await isWell()
})

test('A28 a call that fails leaves its connection to the next one', async () => {
  const next = post('process.Process/List', `${UNARY}content-length: 2\r\nconnection: close\r\n`)
  const text = await say([
    post('process.Process/StreamInput', `${STREAM}content-length: ${framed({ data: {} }).length}\r\n`),
    framed({ data: {} }),
    post('process.Process/SendInput', `${UNARY}content-length: 5\r\n`),
    '{"pro',
    post('process.Process/Nope', `${UNARY}content-length: 5\r\n`),
    '{"pro',
    next,
    '{}',
  ])
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 404', 'HTTP/1.1 200'])
})

test('A5 pipelined calls are answered in their order', async () => {
  const list = `${post('process.Process/List', `${UNARY}content-length: 2\r\n`)}{}`
  const run = framed({ process: { cmd: 'echo', args: ['hello'] }, stdin: false })
  const last = `${post('process.Process/Nope', `${UNARY}content-length: 2\r\nconnection: close\r\n`)}{}`
  const text = await say([
    list,
    post('process.Process/Start', `${STREAM}content-length: ${run.length}\r\n`),
    run,
    list,
    last,
  ])
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404'])
  expect(text.indexOf('aGVsbG8K')).toBeGreaterThan(0)
})

test('A28 connections that are reset at any moment crash nothing', async () => {
  const requests = [
    Buffer.concat([Buffer.from(post('process.Process/Start', `${STREAM}content-length: ${echo.length}\r\n`)), echo]),
    Buffer.from(`${post('process.Process/List', `${UNARY}content-length: 2\r\n`)}{}`),
    Buffer.from(
      `${post('filesystem.Filesystem/ListDir', `${UNARY}content-length: 27\r\n`)}{"path":"/etc", "depth": 3}`,
    ),
  ]
  const once1 = async (i: number) => {
    const socket = await connected()
    const whole = requests[i % requests.length] ?? Buffer.alloc(0)
    socket.write(i % 5 === 0 ? whole.subarray(0, i % whole.length) : whole)
    const reset = () => socket.resetAndDestroy()
    if (i % 2 === 0) socket.once('data', reset)
    const timer = setTimeout(reset, i % 60)
    await closed(socket)
    clearTimeout(timer)
  }
  for (let i = 0; i < 600; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => once1(i + k)))
  await isWell()
})

test('A28 HTTP/2 streams and connections that are reset at any moment crash nothing', async () => {
  const { url } = daemon
  const paths = ['/process.Process/Start', '/process.Process/List', '/process.Process/StreamInput', '/nope']
  for (let round = 0; round < 15; round++) {
    const session = connectHttp2(url)
    session.on('error', () => {})
    const streams = Array.from({ length: 40 }, (_, i) => {
      const path = paths[i % paths.length] ?? '/'
      const unary = path.endsWith('List')
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': unary ? 'application/json' : 'application/connect+json',
      })
      stream.on('error', () => {})
      stream.resume()
      stream.write(unary ? '{}' : echo)
      if (i % 3 !== 0) stream.end()
      setTimeout(() => stream.close(i % 13), i + round)
      return stream
    })
    if (round % 3 === 0) setTimeout(() => session.destroy(), 20)
    await Promise.all(streams.map((stream) => (stream.closed ? undefined : closed(stream))))
    session.destroy()
  }
  await isWell()
})

test('A28 a reader that is reset in the middle of much output does not trouble another', async () => {
  const { url } = daemon
  const owner = await start(url, 'sh', { args: ['-c', 'read x; head -c 30000000 /dev/zero'] })
  const pid = (await owner.next()).event.start?.pid
  const others = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      open<ProcessMessage>(url, 'process.Process/Connect', { process: { pid } }, { http2: i % 2 === 0 }),
    ),
  )
  const leaving = others.map(async (stream, i) => {
    for (let k = 0; k <= i; k++) await stream.next().catch(() => {})
    stream.close()
  })
  await call(url, 'process.Process/SendInput', { process: { pid }, input: { stdin: 'Cg==' } })
  const { messages, end } = await owner.rest()
  await Promise.all(leaving)
  const bytes = messages.reduce((sum, { event }) => sum + Buffer.from(event.data?.stdout ?? '', 'base64').length, 0)
  expect({ bytes, end }).toEqual({ bytes: 30_000_000, end: {} })
})
