import { gzipSync } from 'node:zlib'
import { Code, ConnectError } from '@connectrpc/connect'
import { compressionGzip, createConnectTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { framesOf } from './frames.ts'
import { clientsOf, expectedFiles, expectedTour, heard, tourOfFiles, tourOfProcesses } from './typed-clients.ts'

const daemon = commonDaemon()

/** As Go clients are set up: binary, gzip both ways, also for the smallest message. */
function binaryClients(httpVersion: '1.1' | '2') {
  const transport = createConnectTransport({
    baseUrl: daemon.url,
    httpVersion,
    useBinaryFormat: true,
    sendCompression: compressionGzip,
    acceptCompression: [compressionGzip],
    compressMinBytes: 0,
  })
  return clientsOf(transport)
}

test.each(['1.1', '2'] as const)(
  'A22 A25 D54 every process call works in binary with gzip over HTTP/%s',
  async (version) => {
    expect(await tourOfProcesses(binaryClients(version), true)).toEqual(expectedTour(true))
  },
)

test.each(['1.1', '2'] as const)(
  'A22 A25 every filesystem call works in binary with gzip over HTTP/%s',
  async (version) => {
    await using dir = await makeTmpDir()
    expect(await tourOfFiles(binaryClients(version), dir.path)).toEqual(expectedFiles(dir.path))
  },
)

test('D17 output in binary is exact to the byte', async () => {
  const { process } = binaryClients('1.1')
  const result = await heard(
    process.start({ process: { cmd: 'sh', args: ['-c', 'head -c 3000000 /dev/zero; printf x >&2'] } }),
  )
  expect(result).toMatchObject({ stderr: 'x', status: 'exit status 0' })
  expect(result.stdout.length).toBe(3_000_000)
  expect(/^\0+$/.test(result.stdout)).toBe(true)
})

test('A27 errors of a binary client keep code and message', async () => {
  const { process } = binaryClients('1.1')
  const error = await process
    .sendSignal({ process: { selector: { case: 'tag', value: 'none' } }, signal: 9 })
    .catch(ConnectError.from)
  expect(error).toMatchObject({ code: Code.NotFound, rawMessage: 'process with tag none not found' })
})

test.each([
  ['unary', 'process.Process/List', 'application/proto'],
  ['stream', 'process.Process/Start', 'application/connect+proto'],
])('A23 a %s message that is no protobuf is an invalid argument', async (kind, method, type) => {
  const garbage = Buffer.from([0x0a, 0xff])
  const answer = await sendWhole(`${daemon.url}/${method}`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: kind === 'unary' ? garbage : enveloped(garbage),
  })
  expect(answer.status).toBe(kind === 'unary' ? 400 : 200)
  expect(answer.text).toContain('"code":"invalid_argument","message":"unmarshal message: ')
})

test('A25 a gzip request is read, unary and stream', async () => {
  const unary = await sendWhole(`${daemon.url}/process.Process/SendSignal`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: gzipSync('{"process":{"tag":"zipped"},"signal":9}'),
  })
  expect(unary.text).toBe('{"code":"not_found","message":"process with tag zipped not found"}')
  const stream = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-content-encoding': 'gzip' },
    body: enveloped(gzipSync('{"process":{"cmd":"true"}}'), 1),
  })
  expect(stream.text).toContain('exit status 0')
})

test('A25 an encoding named identity is none', async () => {
  const unary = await call(daemon.url, 'process.Process/List', {}, { headers: { 'content-encoding': 'identity' } })
  expect(unary.status).toBe(200)
  const stream = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-content-encoding': 'identity' },
    body: enveloped(Buffer.from('{"process":{"cmd":"true"}}')),
  })
  expect(stream.text).toContain('exit status 0')
})

test('A25 other encodings are unimplemented and named', async () => {
  const error = { code: 'unimplemented', message: 'unknown compression "br": supported encodings are gzip' }
  const unary = await call(daemon.url, 'process.Process/List', {}, { headers: { 'content-encoding': 'br' } })
  expect({ status: unary.status, body: unary.body }).toEqual({ status: 501, body: error })
  const stream = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-content-encoding': 'br' },
    body: enveloped(Buffer.from('{}')),
  })
  expect({ status: stream.status, body: JSON.parse(stream.body.subarray(5).toString()) }).toEqual({
    status: 200,
    body: { error },
  })
})

test.each([
  ['no gzip at all', 'process.Process/List', 'application/json', Buffer.from('{}')],
  ['gzip cut short', 'process.Process/List', 'application/json', gzipSync('{"a":"bcdefgh"}').subarray(0, 20)],
])('A25 %s under the name of gzip is an invalid argument', async (_, method, type, body) => {
  const answer = await sendWhole(`${daemon.url}/${method}`, {
    method: 'POST',
    headers: { 'content-type': type, 'content-encoding': 'gzip' },
    body,
  })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.text).code).toBe('invalid_argument')
})

test('A25 a gzip bomb is refused, unary and stream', async () => {
  const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024))
  const unary = await sendWhole(`${daemon.url}/process.Process/List`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    body: bomb,
  })
  expect(JSON.parse(unary.text).code).toBe('resource_exhausted')
  const stream = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-content-encoding': 'gzip' },
    body: enveloped(bomb, 1),
  })
  expect(stream.text).toContain('resource_exhausted')
})

test('A25 a unary answer of some size is gzip for a client that accepts it, and no stream ever is', async () => {
  const { url } = daemon
  const envs = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`VARIABLE_${i}`, 'value']))
  const started = await sendWhole(`${url}/process.Process/Start`, {
    method: 'POST',
    headers: {
      'content-type': 'application/connect+json',
      'connect-accept-encoding': 'gzip',
      'accept-encoding': 'gzip',
    },
    body: enveloped(
      Buffer.from(
        JSON.stringify({ process: { cmd: 'sh', args: ['-c', 'seq 10000; sleep 1000 >/dev/null 2>&1 &'], envs } }),
      ),
    ),
  })
  expect(started.headers['content-encoding'] ?? started.headers['connect-content-encoding']).toBeUndefined()
  for (const { flags } of await framesOf(started.body)) expect(flags & 1).toBe(0)
  const zipped = await fetch(`${url}/process.Process/Connect`, { method: 'POST' })
  expect(zipped.status).toBe(415)
})

test('A25 a long list is gzip for a client that accepts it', async () => {
  const { url } = daemon
  const { process } = binaryClients('1.1')
  const iterator = process
    .start({ process: { cmd: 'sleep', args: ['1000', ...Array.from({ length: 200 }, () => '1000')] } })
    [Symbol.asyncIterator]()
  const first = await iterator.next()
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' }
  const answer = await sendWhole(`${url}/process.Process/List`, { method: 'POST', headers, body: '{}' })
  expect({ status: answer.status, encoding: answer.headers['content-encoding'] }).toEqual({
    status: 200,
    encoding: 'gzip',
  })
  expect(answer.body.length).toBeLessThan(500)
  const plain = await call(url, 'process.Process/List', {}, { headers: { 'accept-encoding': 'identity' } })
  expect(plain.headers['content-encoding']).toBeUndefined()
  const event = first.value?.event?.event
  if (event?.case === 'start')
    await process.sendSignal({ process: { selector: { case: 'pid', value: event.value.pid } }, signal: 9 })
  while (!(await iterator.next()).done);
})
