import { expect, test } from 'vitest'
import { grpc } from '../_util/grpc.ts'
import { asUser, call, enveloped, open, type ProcessMessage, pidOf, shell, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const daemon = sharedDaemon()

const DEADLINE = { code: 'deadline_exceeded', message: 'context deadline exceeded' }

function kill(pid: number) {
  return call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
}

async function isLive(pid: number): Promise<boolean> {
  const { body } = await call(daemon.url, 'process.Process/List', {})
  // What List answers.
  return ((body as { processes?: { pid: number }[] }).processes ?? []).some((process) => process.pid === pid)
}

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('D15 the head of the answer and the start come at once over %s', async (_, http2) => {
  const sleep = await start(daemon.url, 'sleep', { args: ['1000'], http2 })
  expect(sleep.status).toBe(200)
  expect(sleep.headers['content-type']).toBe('application/connect+json')
  const pid = await pidOf(sleep)
  expect(await isLive(pid)).toBe(true)
  await kill(pid)
  expect((await sleep.rest()).end).toEqual({})
})

test('D22 the timeout of the starting call kills the command and is reported as such', async () => {
  const { url } = daemon
  const sleep = await start(url, 'sleep', { args: ['1000'], headers: { 'connect-timeout-ms': '500' } })
  const pid = await pidOf(sleep)
  const other = await open<ProcessMessage>(url, 'process.Process/Connect', { process: { pid } })
  const { messages, end } = await sleep.rest()
  expect({ messages, error: end.error }).toEqual({ messages: [], error: DEADLINE })
  const reported = await transcript(other)
  expect(reported.end).toEqual({ exitCode: -1, status: 'signal: killed', error: 'signal: killed' })
  const late = await transcript(await open<ProcessMessage>(url, 'process.Process/Connect', { process: { pid } }))
  expect(late.end).toEqual(reported.end)
})

test('D22 the timeout holds when the starting client is long gone', async () => {
  const { url } = daemon
  const sleep = await start(url, 'sleep', { args: ['1000'], headers: { 'connect-timeout-ms': '500' } })
  const pid = await pidOf(sleep)
  sleep.close()
  const other = await open<ProcessMessage>(url, 'process.Process/Connect', { process: { pid } })
  expect((await transcript(other)).end?.status).toBe('signal: killed')
})

test('D25 the timeout holds for a command that is stopped', async () => {
  const sleep = await start(daemon.url, 'sh', {
    args: ['-c', 'kill -STOP $$'],
    headers: { 'connect-timeout-ms': '400' },
  })
  const pid = await pidOf(sleep)
  expect((await sleep.rest()).end.error).toEqual(DEADLINE)
  await expect.poll(() => isLive(pid)).toBe(false)
})

test('D25 the timeout begins with the request, also when the body comes late', async () => {
  const slow = new ReadableStream({
    async start(controller) {
      controller.enqueue(Uint8Array.of(0, 0, 0))
      await new Promise((resolve) => setTimeout(resolve, 600))
      controller.enqueue(Buffer.concat([Buffer.of(0, 25), Buffer.from('{"process":{"cmd":"cat"}}')]))
      controller.close()
    },
  })
  const answer = await fetch(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-timeout-ms': '300' },
    body: slow,
    duplex: 'half',
  })
  const text = await answer.text()
  expect(text).toContain('deadline_exceeded')
  expect((await call(daemon.url, 'process.Process/List', {})).body).toEqual({})
})

test('D32 the timeout of a connecting call ends that stream alone', async () => {
  const { url } = daemon
  const sleep = await start(url, 'sleep', { args: ['1000'] })
  const pid = await pidOf(sleep)
  const headers = { 'connect-timeout-ms': '200' }
  const watching = await open<ProcessMessage>(url, 'process.Process/Connect', { process: { pid } }, { headers })
  const { messages, end } = await watching.rest()
  expect({ messages, error: end.error }).toEqual({
    messages: [{ event: { start: { pid, offsets: {} } } }],
    error: DEADLINE,
  })
  expect(await isLive(pid)).toBe(true)
  await kill(pid)
  expect((await sleep.rest()).messages.at(-1)?.event.end?.status).toBe('signal: killed')
})

test.each(['0', '-1', '-999999999', '2147483647', '2147483648', '9999999999', '60000.0'])(
  'D24 a command with a timeout of %s runs to its end',
  async (timeout) => {
    const result = await shell(daemon.url, 'sleep 0.2; echo done', { headers: { 'connect-timeout-ms': timeout } })
    expect({ out: String(result.stdout), end: result.streamEnd }).toEqual({ out: 'done\n', end: {} })
  },
)

test.each(['0', '-1', '2147483648', '9999999999', '1500.0'])(
  'D24 a unary call with a timeout of %s is answered',
  async (timeout) => {
    const headers = { 'connect-timeout-ms': timeout }
    expect(await call(daemon.url, 'process.Process/List', {}, { headers })).toMatchObject({ status: 200, body: {} })
  },
)

const badTimeouts = ['12345678901', 'soon', '1e3', '5s']

test.each(badTimeouts)('D23 the timeout %s is refused before anything starts', async (timeout) => {
  const { url } = daemon
  const headers = { 'connect-timeout-ms': timeout }
  const stream = await start(url, 'sleep', { args: ['1000'], headers })
  const { messages, end } = await stream.rest()
  expect({ messages, code: end.error?.code }).toEqual({ messages: [], code: 'invalid_argument' })
  expect(end.error?.message).toMatch(/^parse timeout: /)
  const unary = await call(url, 'process.Process/List', {}, { headers })
  expect({ status: unary.status, body: unary.body }).toMatchObject({
    status: 400,
    body: { code: 'invalid_argument' },
  })
  expect((await call(url, 'process.Process/List', {})).body).toEqual({})
})

test('A27 D24 a unary call that takes longer than its timeout is 504', async () => {
  const { url } = daemon
  const sleep = await start(url, 'sleep', { args: ['1000'] })
  const pid = await pidOf(sleep)
  const input = { process: { pid }, input: { stdin: Buffer.alloc(1 << 20).toString('base64') } }
  const late = await call(url, 'process.Process/SendInput', input, { headers: { 'connect-timeout-ms': '200' } })
  expect({ status: late.status, body: late.body }).toEqual({ status: 504, body: DEADLINE })
  await kill(pid)
  await sleep.rest()
})

test('D19 D20 keepalives come at the interval that was asked for, and data puts them off', async () => {
  const silent = await start(daemon.url, 'sleep', { args: ['2.6'], headers: { 'keepalive-ping-interval': '1' } })
  const kinds = (await silent.rest()).messages.map(({ event }) => Object.keys(event).join())
  expect(kinds).toEqual(['start', 'keepalive', 'keepalive', 'end'])
  const busy = await start(daemon.url, 'sh', {
    args: ['-c', 'for i in 1 2 3 4 5 6 7; do echo; sleep 0.3; done'],
    headers: { 'keepalive-ping-interval': '1' },
  })
  const seen = (await busy.rest()).messages.map(({ event }) => Object.keys(event).join())
  expect(seen).not.toContain('keepalive')
})

test('D31 a connecting client has keepalives of its own', async () => {
  const sleep = await start(daemon.url, 'sleep', { args: ['1.5'] })
  const pid = await pidOf(sleep)
  const headers = { 'keepalive-ping-interval': '1' }
  const other = await open<ProcessMessage>(daemon.url, 'process.Process/Connect', { process: { pid } }, { headers })
  expect((await other.rest()).messages.map(({ event }) => Object.keys(event).join())).toEqual([
    'start',
    'keepalive',
    'end',
  ])
  expect((await sleep.rest()).messages.map(({ event }) => Object.keys(event).join())).toEqual(['end'])
})

const oddIntervals = [
  '0',
  '-1',
  '-99999999999999999999',
  '99999999999999999999',
  'NaN',
  'Infinity',
  '0x10',
  '1e9',
  '1, 2',
]

test.each(oddIntervals)('D20 D76 N29 an interval of %s neither floods nor ends anything', async (interval) => {
  const { url } = daemon
  const headers = { 'keepalive-ping-interval': interval }
  const run = await start(url, 'sleep', { args: ['0.3'], headers })
  const { messages } = await run.rest()
  expect(messages.map(({ event }) => Object.keys(event).join())).toEqual(['start', 'end'])
  expect((await call(url, 'process.Process/List', {})).status).toBe(200)
})

test('D13 D75 a failed start is reported in the last frame, before any message', async () => {
  const stream = await start(daemon.url, 'true', { cwd: '/no/such/dir' })
  expect(await stream.rest()).toEqual({
    messages: [],
    end: { error: { code: 'invalid_argument', message: "cwd '/no/such/dir' does not exist" } },
  })
  const stranger = await start(daemon.url, 'true', { headers: asUser('nobody-of-that-name') })
  expect((await stranger.rest()).end.error).toEqual({
    code: 'unauthenticated',
    message: "invalid username: 'nobody-of-that-name'",
  })
})

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('D22 who is told that the time is over finds the command no longer listed, over %s', async (_, http2) => {
  const { url } = daemon
  for (let round = 0; round < 5; round++) {
    const headers = { 'connect-timeout-ms': '100' }
    const stream = await start(url, 'sh', { args: ['-c', 'sleep 1000 & exec sleep 1000'], headers, http2 })
    const pid = await pidOf(stream)
    expect((await stream.rest()).end.error).toEqual(DEADLINE)
    expect(await isLive(pid)).toBe(false)
  }
})

test('D22 the same over gRPC', async () => {
  const { url } = daemon
  for (let round = 0; round < 5; round++) {
    const body = enveloped(Buffer.from('{"process":{"cmd":"sleep","args":["1000"]}}'))
    const headers = { 'grpc-timeout': '100m' }
    expect(await grpc(url, { method: 'process.Process/Start', codec: '+json', headers, body })).toMatchObject({
      status: 4,
    })
    expect((await call(url, 'process.Process/List', {})).body).toEqual({})
  }
})

test('N3 a call whose time is over before the fork starts nothing', async () => {
  const { url } = daemon
  for (let round = 0; round < 10; round++) {
    const stream = await start(url, 'sleep', { args: ['1000'], headers: { 'connect-timeout-ms': '1' } })
    expect((await stream.rest()).end.error).toEqual(DEADLINE)
    expect((await call(url, 'process.Process/List', {})).body).toEqual({})
  }
})
