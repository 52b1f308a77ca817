import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { asUser, call, enveloped, open, shell, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { framesOf } from './frames.ts'

const daemon = commonDaemon()

const JSON_UNARY = { 'content-type': 'application/json' }
const JSON_STREAM = { 'content-type': 'application/connect+json' }

/** A unary body that is sent as it stands. */
async function post(method: string, body: string | Uint8Array, headers: Record<string, string> = JSON_UNARY) {
  const answer = await sendWhole(`${daemon.url}/${method}`, { method: 'POST', headers, body })
  return { status: answer.status, error: parsed(answer.text), headers: answer.headers, text: answer.text }
}

function parsed(text: string): { code?: string; message?: string } {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/** The error in the last frame of a Start whose body is sent as it stands. */
async function startError(body: Uint8Array, headers: Record<string, string> = {}) {
  const answer = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { ...JSON_STREAM, ...headers },
    body,
  })
  const frames = await framesOf(answer.body)
  expect(frames.map(({ flags }) => flags)).toEqual([2])
  return { status: answer.status, error: JSON.parse(String(frames[0]?.payload)).error }
}

test.each(['/process.Process/Nope', '/process.Nope/List', '/Process/List', '/process.Process/list'])(
  'A22 the unknown procedure %s is 404 as text',
  async (path) => {
    const answer = await sendWhole(`${daemon.url}${path}`, { method: 'POST', headers: JSON_UNARY, body: '{}' })
    expect({ status: answer.status, text: answer.text }).toEqual({ status: 404, text: '404 page not found\n' })
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
  },
)

test.each(['GET', 'PUT', 'DELETE', 'HEAD'])('A22 D77 %s on a procedure is 405 and allows POST', async (method) => {
  for (const name of ['process.Process/List', 'process.Process/Start', 'filesystem.Filesystem/Stat']) {
    const answer = await sendWhole(`${daemon.url}/${name}?connect=v1&encoding=json&message=%7B%7D`, { method })
    expect({ status: answer.status, allow: answer.headers['allow'] }).toEqual({ status: 405, allow: 'POST' })
  }
})

test.each([
  ['a stream type on a unary method', 'process.Process/List', 'application/connect+json'],
  ['a unary type on a stream method', 'process.Process/Start', 'application/json'],
  ['text', 'process.Process/List', 'text/plain'],
  ['an unknown codec', 'process.Process/Start', 'application/connect+cbor'],
])('A22 %s is 415 and reports what is accepted', async (_, method, contentType) => {
  const answer = await post(method, '{}', { 'content-type': contentType })
  expect(answer.status).toBe(415)
  const wanted = method.endsWith('Start') ? 'application/connect+json' : 'application/json'
  expect(answer.headers['accept-post']?.split(', ')).toContain(wanted)
})

test('A22 no content type at all is 415', async () => {
  const answer = await sendWhole(`${daemon.url}/process.Process/List`, { method: 'POST' })
  expect(answer.status).toBe(415)
})

test('A22 the protocol version may be absent, is 1 if present, and nothing else', async () => {
  expect((await post('process.Process/List', '{}')).status).toBe(200)
  const versioned = (version: string) =>
    post('process.Process/List', '{}', { ...JSON_UNARY, 'connect-protocol-version': version })
  expect((await versioned('1')).status).toBe(200)
  const refused = await versioned('2')
  expect({ status: refused.status, code: refused.error.code }).toEqual({ status: 400, code: 'invalid_argument' })
  const stream = await startError(enveloped(Buffer.from('{}')), { 'connect-protocol-version': '2' })
  expect({ status: stream.status, code: stream.error.code }).toEqual({ status: 200, code: 'invalid_argument' })
})

test('A22 a content type may have parameters and capitals', async () => {
  const unary = await post('process.Process/List', '{}', { 'content-type': 'application/json; charset=utf-8' })
  expect(unary.status).toBe(200)
  const stream = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'Application/Connect+JSON; charset=utf-8' },
    body: enveloped(Buffer.from('{"process":{"cmd":"true"}}')),
  })
  expect(stream.text).toContain('exit status 0')
  expect(stream.headers['content-type']).toBe('application/connect+json')
})

test('A23 unknown fields are ignored, at any depth', async () => {
  const answer = await call(daemon.url, 'process.Process/List', { later: { a: [1, { b: null }] } })
  expect(answer.status).toBe(200)
  const stream = await open(daemon.url, 'process.Process/Start', {
    process: { cmd: 'true', later: 1 },
    stdin: false,
    more: 'x',
  })
  expect((await stream.rest()).end).toEqual({})
})

test('A23 both spellings of a field are known', async () => {
  const status = async (message: unknown) =>
    (await call(daemon.url, 'filesystem.Filesystem/RemoveWatcher', message)).status
  // A wrong type shows that the name is known.
  expect(await status({ watcher_id: [] })).toBe(400)
  expect(await status({ watcherId: [] })).toBe(400)
  expect(await status({ watcher: [] })).not.toBe(400)
})

test('A23 an unknown enum name is the zero value', async () => {
  const cat = await start(daemon.url, 'cat')
  const pid = (await cat.next()).event.start?.pid
  const signal = async (name: unknown) =>
    (await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: name })).body
  const unspecified = { code: 'unimplemented', message: 'invalid signal: SIGNAL_UNSPECIFIED' }
  expect(await signal('SIGNAL_SIGHUP')).toEqual(unspecified)
  expect(await signal('sigkill')).toEqual(unspecified)
  expect(await signal(2)).toEqual({ code: 'unimplemented', message: 'invalid signal: 2' })
  expect(await signal(9)).toEqual({})
  await cat.rest()
})

test.each([
  ['too large', '{"process":{"pid":4294967296}}'],
  ['negative', '{"process":{"pid":-1}}'],
  ['a fraction', '{"process":{"pid":1.5}}'],
  ['no number', '{"process":{"pid":"one"}}'],
])('A23 a pid that is %s is an invalid argument', async (_, body) => {
  const answer = await post('process.Process/SendSignal', body)
  expect({ status: answer.status, code: answer.error.code }).toEqual({ status: 400, code: 'invalid_argument' })
  const stream = await startError(
    enveloped(Buffer.from(`${body.replace('"process":', '"pty":{"size":').replace('pid', 'cols')}}`)),
  )
  expect(stream).toMatchObject({ status: 200, error: { code: 'invalid_argument' } })
})

test.each([
  ['cut short', '{"process":'],
  ['an array', '[]'],
  ['a string', '"x"'],
  ['not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22])],
  ['bad base64', '{"process":{"pid":1},"input":{"stdin":"*"}}'],
])('A23 JSON that is %s is an invalid argument that says so', async (_, body) => {
  const answer = await post('process.Process/SendInput', body)
  expect({ status: answer.status, code: answer.error.code }).toEqual({ status: 400, code: 'invalid_argument' })
  expect(answer.error.message).toMatch(/^unmarshal message: /)
})

test.each([
  ['cut short', '{"process":'],
  ['an array', '[]'],
])('A23 JSON that is %s ends a stream as an invalid argument', async (_, body) => {
  const { status, error } = await startError(enveloped(Buffer.from(body)))
  expect({ status, code: error.code }).toEqual({ status: 200, code: 'invalid_argument' })
  expect(error.message).toMatch(/^unmarshal message: /)
})

test('A23 an empty body is an empty message', async () => {
  expect((await post('process.Process/SendSignal', '')).error.code).toBe('unimplemented')
})

test('A22 an empty Connect-Protocol-Version counts as none, any other than 1 is an invalid argument', async () => {
  const input = enveloped(Buffer.from('{"start":{"process":{"pid":1}}}'))
  const inputs = (version: string) => {
    const headers = { ...JSON_STREAM, 'connect-protocol-version': version }
    return sendWhole(`${daemon.url}/process.Process/StreamInput`, { method: 'POST', headers, body: input })
  }
  const version = (text: string) => ({ 'connect-protocol-version': text })
  expect((await post('process.Process/List', '{}', { ...JSON_UNARY, ...version('') })).status).toBe(200)
  expect((await startError(enveloped(Buffer.from('{}')), version(''))).error.message).not.toMatch(/Version/)
  expect((await inputs('')).text).toContain('not_found')
  expect((await post('process.Process/List', '{}', { ...JSON_UNARY, ...version('2') })).error.code).toBe(
    'invalid_argument',
  )
  expect((await startError(enveloped(Buffer.from('{}')), version('2'))).error.code).toBe('invalid_argument')
  expect((await inputs('2')).text).toContain('invalid_argument')
})

test('A24 default values are left out and enums are names', async () => {
  const done = await shell(daemon.url, 'exit 0')
  expect(done.end).toEqual({ exited: true, status: 'exit status 0' })
  const killed = await shell(daemon.url, 'kill -9 $$')
  expect(killed.end).toEqual({ exitCode: -1, status: 'signal: killed', error: 'signal: killed' })
})

test('A24 empty lists are left out', async () => {
  await expect.poll(async () => (await call(daemon.url, 'process.Process/List', {})).body).toEqual({})
})

test('A24 64-bit numbers are strings', async () => {
  await using dir = await makeTmpDir()
  await writeFile(`${dir.path}/five`, '12345')
  const answer = await call(daemon.url, 'filesystem.Filesystem/Stat', { path: `${dir.path}/five` })
  expect(answer.body).toMatchObject({ entry: { name: 'five', type: 'FILE_TYPE_FILE', size: '5' } })
})

const badStreams: [string, Buffer, string, string | undefined][] = [
  ['no message', Buffer.alloc(0), 'unimplemented', 'unary request has zero messages'],
  ['only an end frame', enveloped(Buffer.from('{}'), 2), 'unimplemented', 'unary request has zero messages'],
  [
    'two messages',
    Buffer.concat([enveloped(Buffer.from('{}')), enveloped(Buffer.from('{}'))]),
    'unimplemented',
    'unary request has multiple messages',
  ],
  ['half a header', Buffer.from([0, 0, 0]), 'invalid_argument', undefined],
  ['half a message', enveloped(Buffer.from('{"process":{}}')).subarray(0, 12), 'invalid_argument', undefined],
  ['a length without a message', Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), 'invalid_argument', undefined],
]

test.each(badStreams)('A26 a stream request with %s fails in its last frame', async (_, body, code, message) => {
  const { status, error } = await startError(body)
  expect({ status, code: error.code }).toEqual({ status: 200, code })
  if (message !== undefined) expect(error.message).toBe(message)
})

test('A27 every code of a unary call has its status', async () => {
  await using dir = await makeTmpDir()
  const { url } = daemon
  const terminal = await start(url, 'cat', { pty: { cols: 80, rows: 24 } })
  const sleeper = await start(url, 'sleep', { args: ['1000'] })
  const [onTerminal, onPipe] = [
    { pid: (await terminal.next()).event.start?.pid },
    { pid: (await sleeper.next()).event.start?.pid },
  ]
  const code = async (method: string, message: unknown, headers: Record<string, string> = {}) => {
    const { status, body } = await call(url, method, message, { headers })
    return [status, (body as { code: string }).code]
  }
  const megabyte = Buffer.alloc(1 << 20).toString('base64')
  expect({
    unselected: await code('process.Process/SendInput', {}),
    terminal: await code('process.Process/CloseStdin', { process: onTerminal }),
    wrong: await code('process.Process/SendInput', { process: onTerminal, input: { stdin: '' } }),
    internal: await code('process.Process/Update', { process: onPipe, pty: { size: { cols: 1, rows: 1 } } }),
    missing: await code('process.Process/SendSignal', { process: { pid: 999_999_999 }, signal: 9 }),
    existing: await code('filesystem.Filesystem/MakeDir', { path: dir.path }),
    stranger: await code('filesystem.Filesystem/Stat', { path: '/' }, asUser('nobody-of-that-name')),
    malformed: await code('process.Process/List', []),
    late: await code(
      'process.Process/SendInput',
      { process: onPipe, input: { stdin: megabyte } },
      { 'connect-timeout-ms': '100' },
    ),
  }).toEqual({
    unselected: [501, 'unimplemented'],
    terminal: [400, 'failed_precondition'],
    wrong: [400, 'failed_precondition'],
    internal: [500, 'internal'],
    missing: [404, 'not_found'],
    existing: [409, 'already_exists'],
    stranger: [401, 'unauthenticated'],
    malformed: [400, 'invalid_argument'],
    late: [504, 'deadline_exceeded'],
  })
  for (const process of [onTerminal, onPipe]) await call(url, 'process.Process/SendSignal', { process, signal: 9 })
  await Promise.all([terminal.rest(), sleeper.rest()])
})

test('A27 A39 an unauthenticated stream is an error frame, not a status', async () => {
  const stream = await start(daemon.url, 'true', { headers: asUser('nobody-of-that-name') })
  expect(stream.status).toBe(200)
  expect((await stream.rest()).end.error?.code).toBe('unauthenticated')
})

test('a message above its limit is refused, unary or stream, and the daemon goes on', async () => {
  const huge = Buffer.alloc(65 * 1024 * 1024, 0x20)
  const unary = await post('process.Process/SendInput', huge)
  expect({ status: unary.status, code: unary.error.code }).toEqual({ status: 429, code: 'resource_exhausted' })
  const stream = await startError(enveloped(huge))
  expect(stream).toMatchObject({ status: 200, error: { code: 'resource_exhausted' } })
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
})

test('a start with 10 MB of arguments is answered, not dropped', async () => {
  const stream = await start(daemon.url, 'true', { args: Array.from({ length: 100 }, () => 'x'.repeat(100_000)) })
  expect((await stream.rest()).end.error).toMatchObject({ code: 'invalid_argument' })
})
