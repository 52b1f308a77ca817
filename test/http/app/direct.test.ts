import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commonDaemon } from '../../_util/common-daemon.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const daemon = commonDaemon()

interface Sent {
  readonly port?: number
  readonly headers?: readonly string[]
  readonly body?: string
}

/** All bytes of an answer, without the time of day. */
function answerTo(start: string, { port = daemon.port, headers = [], body = '' }: Sent = {}): Promise<string> {
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  const lines = [start, 'Host: localhost', 'Connection: close', ...headers, ...length]
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const pieces: Buffer[] = []
    socket.on('data', (piece) => pieces.push(piece))
    socket.on('error', reject)
    socket.on('end', () => {
      socket.end()
      resolve(
        Buffer.concat(pieces)
          .toString()
          .replace(/^Date: .*$/m, 'Date: …'),
      )
    })
    socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`)
  })
}

const USER = 'Authorization: Basic cm9vdDo='
const HEADERS: readonly (readonly [string, readonly string[]])[] = [
  ['no more headers', []],
  ['a user', [USER]],
  ['a user that does not exist', ['Authorization: Basic bm8tb25lOg==']],
  ['no user in the header', ['Authorization: Bearer x']],
  ['a page', [USER, 'Origin: http://localhost:3000']],
  ['a page of elsewhere', [USER, 'Origin: http://example.com']],
  ['a client of old', [USER, 'User-Agent: connect-python']],
  ['a client that takes gzip', [USER, 'Accept-Encoding: gzip']],
]

// With a query the request takes the steps of the app.
test.each(HEADERS)('B1 a health check with %s is answered to the byte as by the app', async (_, headers) => {
  const direct = await answerTo('GET /health HTTP/1.1', { headers })
  expect(direct).toMatch(/^HTTP\/1.1 (204|401|403) /)
  expect(direct).toBe(await answerTo('GET /health?q HTTP/1.1', { headers }))
})

const CALLS: readonly (readonly [string, string, string])[] = [
  ['a file', 'filesystem.Filesystem/Stat', '{"path":"/etc/passwd"}'],
  ['a file that is not there', 'filesystem.Filesystem/Stat', '{"path":"/no/such"}'],
  ['a list', 'filesystem.Filesystem/ListDir', '{"path":"/proc/sys/fs"}'],
  ['no body', 'process.Process/List', ''],
  ['no JSON', 'process.Process/List', '{'],
  ['no process', 'process.Process/SendInput', '{"process":{"pid":4194303},"input":{"stdin":"eA=="}}'],
]
const cases = CALLS.flatMap(([what, method, body]) =>
  HEADERS.map(([with_, headers]) => [what, with_, method, body, headers] as const),
)

test.each(cases)('A22 a call for %s with %s is answered to the byte as by the app', async (...given) => {
  const [, , method, body, headers] = given
  const start = `POST /${method} HTTP/1.1`
  const type = 'Content-Type: application/json'
  const direct = await answerTo(start, { headers: [...headers, type], body })
  expect(direct).toMatch(/^HTTP\/1.1 (200|400|401|403|404) /)
  expect(direct).toBe(await answerTo(start, { headers: [...headers, `${type}; charset=utf-8`], body }))
})

/** One message of a stream in its envelope. */
function enveloped(json: string): string {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(json.length, 1)
  return head.toString('latin1') + json
}

const STREAMS: readonly (readonly [string, string, string])[] = [
  ['a process that is not there', 'process.Process/Connect', enveloped('{"process":{"pid":4194303}}')],
  ['a program that is not there', 'process.Process/Start', enveloped('{"process":{"cmd":"/no/such"}}')],
  ['a directory that is not there', 'filesystem.Filesystem/WatchDir', enveloped('{"path":"/no/such"}')],
  ['no JSON', 'process.Process/Start', enveloped('{')],
  ['no body', 'process.Process/Start', ''],
]
const streams = STREAMS.flatMap(([what, method, body]) =>
  HEADERS.map(([with_, headers]) => [what, with_, method, body, headers] as const),
)

test.each(streams)('A22 a stream for %s with %s is answered to the byte as by the app', async (...given) => {
  const [, , method, body, headers] = given
  const sent = { headers: [...headers, 'Content-Type: application/connect+json'], body }
  const pids = /"pid":\d+/g
  const direct = await answerTo(`POST /${method} HTTP/1.1`, sent)
  expect(direct).toMatch(/^HTTP\/1.1 (200|401|403) /)
  const byApp = await answerTo(`POST /${method}?q HTTP/1.1`, sent)
  expect(direct.replace(pids, '')).toBe(byApp.replace(pids, ''))
})

test.each(['constructor', 'toString', '__proto__', 'application/JSON', 'application/json,application/json', ''])(
  'A22 a content type that is %j takes the steps of the app',
  async (type) => {
    const answer = await answerTo('POST /process.Process/List HTTP/1.1', {
      headers: [USER, `Content-Type: ${type}`],
      body: '{}',
    })
    expect(answer).toMatch(type === 'application/JSON' ? /^HTTP\/1.1 200 / : /^HTTP\/1.1 415 /)
  },
)

test('A34 with a token health is answered without it, a call only with it', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'token')
  await writeFile(file, 'secret', { mode: 0o600 })
  await using own = await startDaemon({ args: ['-access-token-file', file] })
  const { port } = own
  const call = (headers: readonly string[]) =>
    answerTo('POST /process.Process/List HTTP/1.1', {
      port,
      headers: ['Content-Type: application/json', ...headers],
      body: '{}',
    })
  expect(await answerTo('GET /health HTTP/1.1', { port })).toMatch(/^HTTP\/1.1 204 /)
  expect(await call([])).toMatch(/^HTTP\/1.1 401 /)
  expect(await call(['X-Access-Token: wrong'])).toMatch(/^HTTP\/1.1 401 /)
  expect(await call(['X-Access-Token: secret', 'X-Access-Token: wrong'])).toMatch(/^HTTP\/1.1 401 /)
  expect(await call(['X-Access-Token: secret'])).toMatch(/^HTTP\/1.1 200 /)
})
