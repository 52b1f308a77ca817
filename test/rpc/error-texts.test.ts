import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { type GrpcCall, grpc, grpcWeb } from '../_util/grpc.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, open } from '../_util/rpc.ts'

const daemon = commonDaemon()

const INVALID_ARGUMENT = 3
const NOT_FOUND = 5
const UNIMPLEMENTED = 12

const json = (text: string | Uint8Array) => enveloped(Buffer.from(text))

const stacks = [
  ['gRPC', grpc],
  ['gRPC-Web', grpcWeb],
] as const

/** JSON whose errors quote half of a surrogate pair, by cutting one or because it was sent. */
const HALVES = [
  '😀',
  '{"pid":😀}',
  '{"process":{"pid":"\\ud83d"}}',
  '{"process":{"pid":"\\ude00x"}}',
  '{"signal":"\\ud83d","process":{"tag":"\\ud83d"}}',
  '{"process":{"tag":"\\ud83d"}}',
]

test.each(stacks)('an error with half a surrogate pair ends a unary call of %s', async (_, ask) => {
  for (const text of HALVES) {
    const status = await ask(daemon.url, {
      method: 'process.Process/SendSignal',
      codec: '+json',
      body: json(text),
    })
    expect(status.status, text).toBeOneOf([INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED])
    expect(status.message.isWellFormed()).toBe(true)
  }
})

test.each(stacks)('an error with half a surrogate pair ends a stream of %s', async (_, ask) => {
  for (const text of ['😀', '{"process":{"cmd":"x","cwd":"/\\ud83d"}}', '{"process":{"cmd":"\\ud83d/x"}}']) {
    const status = await ask(daemon.url, { method: 'process.Process/Start', codec: '+json', body: json(text) })
    expect(status.status, text).toBe(INVALID_ARGUMENT)
  }
})

test('an error with half a surrogate pair ends the calls of Connect', async () => {
  for (const text of ['/\\ud83d', '\\ude00']) {
    const path = JSON.parse(`"${text}"`)
    expect((await call(daemon.url, 'filesystem.Filesystem/Stat', { path })).status).toBe(400)
    const stream = await open(daemon.url, 'process.Process/Start', { process: { cmd: 'x', cwd: path } })
    expect((await stream.rest()).end.error?.code).toBe('invalid_argument')
  }
})

test.each(stacks)('the messages of %s are short enough for a header, and keep their end', async (_, ask) => {
  const path = `/${'é'.repeat(100)}`.repeat(19)
  const status = await ask(daemon.url, {
    method: 'filesystem.Filesystem/Stat',
    codec: '+json',
    body: json(JSON.stringify({ path })),
  })
  expect(status.status).toBe(NOT_FOUND)
  expect(encodeURIComponent(status.message).length).toBeLessThan(10_000)
  expect(status.message).toMatch(/^file not found: .* … .*: no such file or directory$/)
})

test('long messages are cut in their middle, and control characters in them are reported as escapes', async () => {
  const path = `/no/such/\u001b[31m${'x'.repeat(16_000)}`
  const answer = await call(daemon.url, 'filesystem.Filesystem/Stat', { path })
  const { message } = answer.body as { message: string }
  expect(message.length).toBeLessThan(10_000)
  expect(message).toMatch(/^error getting file info: lstat \/no\/such\/\\u001b\[31mxxx.* … x.*: file name too long$/)
})

test('a host that is none does not keep gRPC-Web from an answer', async () => {
  const headers = { 'content-type': 'application/grpc-web' }
  for (const host of ['a b', '[', 'a:b:c', '%', '@']) {
    const url = `${daemon.url}/process.Process/List`
    const answer = await sendWhole(url, { method: 'POST', headers: { ...headers, host }, body: json('') })
    expect(answer.status, host).toBeOneOf([200, 403])
  }
})

test('gRPC-Web over HTTP/1.0 without a host is answered', async () => {
  const head = 'POST /process.Process/List HTTP/1.0\r\ncontent-type: application/grpc-web\r\ncontent-length: 5\r\n\r\n'
  const socket = connect(daemon.port, '127.0.0.1')
  socket.write(Buffer.concat([Buffer.from(head), json('')]))
  const text = Buffer.concat(await socket.toArray()).toString('latin1')
  expect(text).toMatch(/^HTTP\/1\.1 200 /)
  expect(text).toContain('grpc-status: 0')
})

test.each(stacks)('frames with unknown flags are refused in %s', async (_, ask) => {
  for (const flags of [2, 4, 0x40, 0x7f]) {
    const body = enveloped(Buffer.from('{}'), flags)
    const status = await ask(daemon.url, { method: 'process.Process/List', codec: '+json', body })
    expect(status, String(flags)).toMatchObject({
      status: INVALID_ARGUMENT,
      message: `a frame has unknown flags: ${flags}`,
    })
  }
})

test.each(stacks)('JSON that is not UTF-8 is refused in %s', async (_, ask) => {
  const body = enveloped(Buffer.from('7b2274616722 3a22ff227d'.replaceAll(' ', ''), 'hex'))
  const status = await ask(daemon.url, { method: 'process.Process/List', codec: '+json', body })
  expect(status.status).toBe(INVALID_ARGUMENT)
})

test.each(stacks)('a timeout of %s that no timer takes is no limit', async (_, ask) => {
  for (const timeout of ['99999999H', '35791394M', '2147484S', '99999999S']) {
    const shout: GrpcCall = {
      method: 'process.Process/Start',
      codec: '+json',
      headers: { 'grpc-timeout': timeout },
      body: json('{"process":{"cmd":"sleep","args":["0.1"]}}'),
    }
    expect(await ask(daemon.url, shout), timeout).toEqual({ status: 0, message: '' })
  }
  const late: GrpcCall = {
    method: 'process.Process/Start',
    codec: '+json',
    headers: { 'grpc-timeout': '50m' },
    body: json('{"process":{"cmd":"sleep","args":["5"]}}'),
  }
  expect((await ask(daemon.url, late)).status).toBe(4)
})
