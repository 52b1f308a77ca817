import { request } from 'node:http'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import {
  call,
  enveloped,
  type ProcessMessage,
  pidOf,
  type Stream,
  type StreamEnd,
  start,
  transcript,
} from '../_util/rpc.ts'
import { framesOf } from './frames.ts'

const daemon = commonDaemon()

const PATH = '/process.Process/StreamInput'
const HEADERS = { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }

const framed = (message: unknown) => enveloped(Buffer.from(JSON.stringify(message)))
const startEvent = (pid: number) => ({ start: { process: { pid } } })
const dataEvent = (text: string) => ({ data: { input: { stdin: Buffer.from(text).toString('base64') } } })

/** One whole call: its messages, then the answer's messages and last frame. */
async function streamInput(
  messages: readonly unknown[],
  http2 = false,
): Promise<{ replies: unknown[]; end: StreamEnd }> {
  const body = Buffer.concat(messages.map(framed))
  const answer = await sendWhole(daemon.url + PATH, { method: 'POST', headers: HEADERS, body, http2 })
  expect(answer.status).toBe(200)
  return decode(answer.body)
}

async function decode(body: Buffer): Promise<{ replies: unknown[]; end: StreamEnd }> {
  const frames = (await framesOf(body)).map(({ flags, payload }) => ({
    flags,
    value: JSON.parse(String(payload)),
  }))
  const end = frames.find(({ flags }) => (flags & 2) !== 0)
  return { replies: frames.filter((frame) => frame !== end).map(({ value }) => value), end: end?.value }
}

async function closeStdin(pid: number): Promise<void> {
  await call(daemon.url, 'process.Process/CloseStdin', { process: { pid } })
}

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('D52 D54 inputs arrive in order and are answered once, over %s', async (_, http2) => {
  const cat = await start(daemon.url, 'cat')
  const pid = await pidOf(cat)
  const lines = Array.from({ length: 2000 }, (_, i) => `line ${i}\n`)
  expect(await streamInput([startEvent(pid), ...lines.map(dataEvent), { keepalive: {} }], http2)).toEqual({
    replies: [{}],
    end: {},
  })
  await closeStdin(pid)
  const { messages } = await cat.rest()
  const out = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
  expect(out).toBe(lines.join(''))
})

test('D54 over HTTP/1.1 chunked, every input is written when it comes, not when the request ends', async () => {
  const cat = await start(daemon.url, 'cat')
  const pid = await pidOf(cat)
  const outgoing = request(daemon.url + PATH, { method: 'POST', headers: HEADERS })
  const answered = new Promise<Buffer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (response) => response.toArray().then((parts) => resolve(Buffer.concat(parts)), reject))
  })
  outgoing.write(framed(startEvent(pid)))
  for (const word of ['one', 'two', 'three']) {
    const frame = framed(dataEvent(word))
    // Frames may be cut anywhere on their way.
    outgoing.write(frame.subarray(0, 3))
    outgoing.write(frame.subarray(3))
    expect((await cat.next()).event.data?.stdout).toBe(Buffer.from(word).toString('base64'))
  }
  outgoing.end()
  expect(await decode(await answered)).toEqual({ replies: [{}], end: {} })
  await closeStdin(pid)
  await cat.rest()
})

test('D52 a repeated start switches to another process', async () => {
  const [one, two] = [await start(daemon.url, 'cat'), await start(daemon.url, 'cat')]
  const [first, second] = [await pidOf(one), await pidOf(two)]
  await streamInput([
    startEvent(first),
    dataEvent('1'),
    startEvent(second),
    dataEvent('2'),
    startEvent(first),
    dataEvent('3'),
  ])
  for (const pid of [first, second]) await closeStdin(pid)
  const text = async (stream: Stream<ProcessMessage>) =>
    (await stream.rest()).messages
      .map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString())
      .join('')
  expect([await text(one), await text(two)]).toEqual(['13', '2'])
})

test('D52 no message at all is a success', async () => {
  expect(await streamInput([])).toEqual({ replies: [{}], end: {} })
})

test.each([
  ['an event that is unset', [{}], 'unimplemented', 'invalid event type <nil>'],
  ['an unknown process', [startEvent(999_999_999)], 'not_found', 'process with pid 999999999 not found'],
  ['no selector', [{ start: {} }], 'unimplemented', 'invalid input type *process.ProcessSelector'],
])('D52 %s ends the call with its error', async (_, messages, code, message) => {
  expect(await streamInput(messages)).toEqual({ replies: [], end: { error: { code, message } } })
})

test('D53 data before the start is a failed precondition, and the connection lives', async () => {
  const { end, replies } = await streamInput([dataEvent('x')])
  expect({ code: end.error?.code, replies }).toEqual({ code: 'failed_precondition', replies: [] })
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
})

test('D50 D52 N2 the first failed write ends the call', async () => {
  const silent = await start(daemon.url, 'sleep', { args: ['1000'], stdin: false })
  const pid = await pidOf(silent)
  const { end } = await streamInput([startEvent(pid), dataEvent('x'), startEvent(999_999_999)])
  expect(end.error).toEqual({
    code: 'failed_precondition',
    message: 'error writing to stdin: stdin not enabled or closed',
  })
  await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 9 })
  await silent.rest()
})

test('D51 a client that goes away in the middle takes back what is not written, and no other client waits for it', async () => {
  const sleeper = await start(daemon.url, 'sh', { args: ['-c', 'sleep 1000 & wait; exec cat'] })
  const pid = await pidOf(sleeper)
  const outgoing = request(daemon.url + PATH, { method: 'POST', headers: HEADERS })
  outgoing.on('error', () => {})
  outgoing.write(Buffer.concat([framed(startEvent(pid)), framed(dataEvent('x'.repeat(1 << 20)))]))
  const stdin = () =>
    call(
      daemon.url,
      'process.Process/SendInput',
      { process: { pid }, input: { stdin: 'eQ==' } },
      { headers: { 'connect-timeout-ms': '50' } },
    )
  await expect.poll(async () => (await stdin()).status).toBe(504)
  outgoing.destroy()
  await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 9 })
  expect((await sleeper.rest()).end).toEqual({})
  const next = await transcript(await start(daemon.url, 'echo', { args: ['next'] }))
  expect(String(next.stdout)).toBe('next\n')
})

test.each([
  ['JSON cut short', enveloped(Buffer.from('{"start"')), 'invalid_argument'],
  ['half an envelope', enveloped(Buffer.from('{"keepalive":{}}')).subarray(0, 9), 'invalid_argument'],
])('A23 A26 %s in the stream is an invalid argument', async (_, body, code) => {
  const answer = await sendWhole(daemon.url + PATH, { method: 'POST', headers: HEADERS, body })
  expect((await decode(answer.body)).end.error?.code).toBe(code)
})
