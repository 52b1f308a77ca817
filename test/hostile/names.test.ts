import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { enveloped } from '../_util/rpc.ts'
import { startLimited } from './limited-daemon.ts'
import { WHOLE } from './scale.ts'

/** Names of each kind. What is kept of long ones shows soon. */
const NAMES = WHOLE ? 40_000 : 6_000
const LONG = 2_000

/** Requests that are sent ahead of their answers: fewer than a connection may have. */
const AHEAD = 50

/** What garbage and a larger heap may take: less than the names of one kind. */
const SPARE_BYTES = 8 * 2 ** 20

type Request = (name: string, index: number) => string

function request(method: string, path: string, headers = '', body = ''): string {
  const host = /^host:/im.test(headers) ? '' : 'Host: x\r\n'
  const length = method === 'POST' ? `Content-Length: ${body.length}\r\n` : ''
  return `${method} ${path} HTTP/1.1\r\n${host}${headers}${length}\r\n${body}`
}

const unary = (method: string, message: unknown, headers = '') =>
  request('POST', `/${method}`, `Content-Type: application/json\r\n${headers}`, JSON.stringify(message))

const stream = (method: string, message: unknown, headers: string) => {
  const body = enveloped(Buffer.from(JSON.stringify(message))).toString('latin1')
  return request('POST', `/${method}`, `Content-Type: application/connect+json\r\n${headers}`, body)
}

const asUser = (name: string) => `Authorization: Basic ${Buffer.from(`${name}:`).toString('base64')}\r\n`

/** Each names something that is not there. */
const KINDS: Readonly<Record<string, Request>> = {
  'users of calls': (name) => unary('process.Process/List', {}, asUser(name)),
  'users of files': (name) => request('GET', `/files?path=x&username=${name}`),
  paths: (name) => unary('filesystem.Filesystem/Stat', { path: `/${name}` }),
  targets: (name) => request('GET', `/${name}`),
  methods: (name) => unary(`process.Process/${name}`, {}),
  tags: (name) => unary('process.Process/SendSignal', { process: { tag: name }, signal: 'SIGNAL_SIGKILL' }),
  'keys of starts': (name) => stream('process.Process/Start', { process: { cmd: '' } }, key(name)),
  'tags of starts': (name) => stream('process.Process/Start', { process: { cmd: '/no' }, tag: name }, ''),
  hosts: (name) => request('GET', '/health', `Host: ${name}.example\r\n`),
  origins: (name) => request('GET', '/health', `Origin: http://${name}.example\r\n`),
  agents: (name) => stream('filesystem.Filesystem/WatchDir', { path: '/no' }, `User-Agent: ${name}\r\n`),
  watchers: (name) => unary('filesystem.Filesystem/GetWatcherEvents', { watcherId: name }),
  tokens: (name) => unary('files.v1.Files/Changes', { path: '/no', token: name }),
  uploads: (name) => request('HEAD', `/uploads/${name}`, 'Tus-Resumable: 1.0.0\r\n'),
  conditions: (name) => request('POST', '/files?path=/no/x&username=root', `If-Match: "${name}"\r\n`),
  queries: (name) => request('GET', `/metrics?${name}=1`),
  ports: (_, index) => request('GET', `/ports/${1 + (index % 65_000)}/`),
}

function key(name: string): string {
  return `Idempotency-Key: ${name.slice(0, 255)}\r\n`
}

/** Sends all over one connection and counts the answers. */
async function sendAll(port: number, requests: Iterable<string>, count: number): Promise<void> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  const waiting = requests[Symbol.iterator]()
  let [sent, answered] = [0, 0]
  const more = () => {
    for (; sent < count && sent - answered < AHEAD; sent++) socket.write(String(waiting.next().value), 'latin1')
  }
  let last = ''
  socket.on('data', (text: string) => {
    // A status line may be cut.
    const seen = last + text
    answered += seen.split('HTTP/1.1 ').length - 1
    last = seen.slice(-8)
    if (answered >= count) socket.destroy()
    else more()
  })
  more()
  await once(socket, 'close')
  expect(answered).toBe(count)
}

test(`${NAMES} names of each kind that a client invents leave nothing behind`, {
  timeout: 3_600_000,
}, async (context) => {
  await using daemon = await startLimited(context)
  function* named(make: Request, from: number, count: number) {
    for (let i = from; i < from + count; i++) yield make(`n${i}-`.padEnd(LONG, 'x'), i)
  }
  const round = async (from: number, count: number) => {
    for (const make of Object.values(KINDS)) await sendAll(daemon.port, named(make, from, count), count)
    return daemon.held().resident
  }
  const first = await round(0, NAMES / 4)
  const second = await round(NAMES / 4, NAMES)
  console.log(JSON.stringify({ first, second, halts: daemon.halts() }))
  expect(second - first).toBeLessThan(SPARE_BYTES)
})
