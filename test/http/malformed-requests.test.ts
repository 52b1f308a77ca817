import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { connectRaw } from './front.ts'

const daemon = sharedDaemon()

/** What comes until the daemon closes the connection; it must, within the test's time. */
async function say(text: string): Promise<string> {
  using client = await connectRaw(daemon.port)
  client.write(text)
  return await client.closed
}

const POST = 'POST /init HTTP/1.1\r\nHost: x\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n'

/** Each means another body, or another request, to another reader (RFC 9112 11.1 and 11.2). */
const SMUGGLING: readonly (readonly [what: string, bytes: string])[] = [
  ['a length and chunks', `${POST}Content-Length: 5\r\n${CHUNKED}0\r\n\r\n`],
  ['chunks and a length', `${POST}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
  ['two lengths', `${POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
  ['the same length twice', `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
  ['a list of lengths', `${POST}Content-Length: 2, 2\r\n\r\n{}`],
  ['a length with a sign', `${POST}Content-Length: +2\r\n\r\n{}`],
  ['a negative length', `${POST}Content-Length: -2\r\n\r\n{}`],
  ['a hexadecimal length', `${POST}Content-Length: 0x2\r\n\r\n{}`],
  ['a length beyond 64 bits', `${POST}Content-Length: 99999999999999999999\r\n\r\n{}`],
  ['an empty length', `${POST}Content-Length: \r\n\r\n{}`],
  ['chunked twice', `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ['chunked in two headers', `${POST}Transfer-Encoding: chunked\r\n${CHUNKED}0\r\n\r\n`],
  ['an encoding that is not chunked', `${POST}Transfer-Encoding: gzip\r\n\r\n{}`],
  ['chunked before another encoding', `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
  ['an encoding with a tail', `${POST}Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n`],
  ['a space before the colon', `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
  ['a folded header', `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
  ['chunks in HTTP/1.0', `POST /init HTTP/1.0\r\nHost: x\r\n${CHUNKED}0\r\n\r\n`],
  ['a chunk size that is none', `${POST}${CHUNKED}zz\r\n{}\r\n0\r\n\r\n`],
  ['a chunk size with 0x', `${POST}${CHUNKED}0x2\r\n{}\r\n0\r\n\r\n`],
  ['a chunk size with a sign', `${POST}${CHUNKED}+2\r\n{}\r\n0\r\n\r\n`],
  ['a chunk size beyond 64 bits', `${POST}${CHUNKED}fffffffffffffffff\r\n{}\r\n0\r\n\r\n`],
  ['a chunk line ended by LF', `${POST}${CHUNKED}2\n{}\r\n0\r\n\r\n`],
  ['a chunk extension ended by LF', `${POST}${CHUNKED}2;a\n{}\r\n0\r\n\r\n`],
  ['a chunk longer than its size', `${POST}${CHUNKED}1\r\n{}\r\n0\r\n\r\n`],
  ['a request line ended by LF', 'POST /init HTTP/1.1\nHost: x\r\n\r\n'],
  ['a header ended by LF', 'POST /init HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n'],
  ['a header ended by CR', 'POST /init HTTP/1.1\r\nHost: x\rContent-Length: 0\r\n\r\n'],
  ['lines ended by LF', 'POST /init HTTP/1.1\nHost: x\n\n'],
  ['a NUL in a header', `${POST}A: \0\r\n\r\n`],
  ['tabs in the request line', 'POST\t/init\tHTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a space in the target', 'POST /init HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['two hosts', 'POST /init HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n'],
  ['the same host twice', 'POST /init HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n'],
  ['no host', 'POST /init HTTP/1.1\r\n\r\n'],
  ['no version', 'POST /init\r\n\r\n'],
  ['an unknown minor version', 'POST /init HTTP/1.9\r\nHost: x\r\n\r\n'],
  ['an unknown method', 'SMUGGLE /init HTTP/1.1\r\nHost: x\r\n\r\n'],
]

test.each(SMUGGLING)('%s: 400, the connection is closed, and what follows is no request', async (_, bytes) => {
  const text = await say(`${bytes}GET /envs HTTP/1.1\r\nHost: x\r\n\r\n`)
  expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n.*connection: close\r\n/is)
  expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
  expect(text).not.toContain('E2B_SANDBOX')
})

test.each(['gzip, chunked', 'x, chunked', 'identity, chunked', ',chunked'])(
  'a body in the transfer coding "%s" is 501, and the connection is closed',
  async (coding) => {
    const text = await say(
      `${POST}Transfer-Encoding: ${coding}\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET /envs HTTP/1.1\r\nHost: x\r\n\r\n`,
    )
    expect(text).toMatch(/^HTTP\/1\.1 501 Not Implemented\r\n.*connection: close\r\n/is)
    expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
  },
)

const rpc = (type: string) => `POST /process.Process/List HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n${CHUNKED}`
const stream = (type: string) =>
  `POST /process.Process/StreamInput HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n${CHUNKED}`

test('a body that breaks off in a bad chunk is 400 on every route and stack', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'envd-test-'))
  const heads = [
    rpc('application/json'),
    rpc('application/proto'),
    rpc('application/grpc'),
    rpc('application/grpc-web'),
    rpc('text/plain'),
    stream('application/connect+json'),
    stream('application/grpc'),
    stream('application/json'),
    `POST /process.Process/Start HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\n${CHUNKED}`,
    `POST /files?path=${directory}/f HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n${CHUNKED}`,
    `POST /files/compose HTTP/1.1\r\nHost: x\r\n${CHUNKED}`,
    `GET /files?path=/etc/passwd HTTP/1.1\r\nHost: x\r\n${CHUNKED}`,
    `GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ${btoa('root:')}\r\n${CHUNKED}`,
    `GET /nope HTTP/1.1\r\nHost: x\r\n${CHUNKED}`,
  ]
  for (const head of heads) {
    expect(await say(`${head}zz\r\n`), head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    using slow = await connectRaw(daemon.port)
    slow.write(`${head}2\r\n{}\r\n`)
    slow.write('zz\r\n')
    expect(await slow.closed, head).toMatch(/^HTTP\/1\.1 \d{3} /)
  }
  expect(daemon.stdout()).not.toContain('failed unexpectedly')
})

test('a bad chunk after a request that was answered does not spoil that answer', async () => {
  const text = await say(`GET /envs HTTP/1.1\r\nHost: x\r\n\r\n${POST}${CHUNKED}zz\r\n`)
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*E2B_SANDBOX.*HTTP\/1\.1 400 Bad Request\r\n/s)
})

test('another version of HTTP is 505', async () => {
  expect(await say('GET /health HTTP/2.0\r\nHost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 505 /)
})

test('CONNECT is 501', async () => {
  expect(await say('CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n')).toMatch(/^HTTP\/1\.1 501 .*"code":501/s)
})

test('CONNECT over HTTP/2 is 501', async () => {
  const session = connect(daemon.url)
  const [headers] = await once(session.request({ ':method': 'CONNECT', ':authority': 'x:80' }), 'response')
  session.destroy()
  expect(headers[':status']).toBe(501)
})

test('HTTP/1.0 keeps a connection that asks for it, also after answers without a body', async () => {
  const keep = 'Connection: keep-alive\r\n\r\n'
  const text = await say(
    `GET /health HTTP/1.0\r\n${keep}GET /envs HTTP/1.0\r\n${keep}GET /health HTTP/1.0\r\n${keep}GET /envs HTTP/1.0\r\n\r\n`,
  )
  expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 204', 'HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 200'])
  expect(text.match(/^connection: keep-alive\r$/gim)).toHaveLength(3)
  expect(text).not.toMatch(/transfer-encoding/i)
})

test('a request line may follow an empty line, and a chunk may have an extension', async () => {
  expect(await say('\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 204 /)
  const chunks = `POST /init HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${CHUNKED}2;a=b\r\n{}\r\n0\r\nTrailer: x\r\n\r\n`
  expect(await say(chunks)).toMatch(/^HTTP\/1\.1 204 /)
})
