import { mkdtemp, rm } from 'node:fs/promises'
import { type ClientHttp2Session, connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Rounds of all calls: what is called once only, V8 may leave out of a code cache. */
const ROUNDS = 3

/**
 * Calls what SDKs call of a daemon that has no token, as they do it: what was compiled for that is in a code cache made
 * afterwards. Rejects when a call fails.
 */
export async function exercise(url: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'envd-exercise-'))
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await useFiles(url, join(dir, String(round)))
      await useCommands(url)
      await useOtherProtocols(url)
      await send(url, 'GET', '/health')
      await send(url, 'GET', '/metrics')
      await send(url, 'GET', '/metrics?format=openmetrics')
      await send(url, 'GET', '/envs')
      await send(url, 'POST', '/init', JSON.stringify({ timestamp: new Date().toISOString() }))
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function useFiles(url: string, dir: string): Promise<void> {
  const call = (method: string, message: object) => unary(url, `filesystem.Filesystem/${method}`, message)
  const path = join(dir, 'file')
  await call('MakeDir', { path: dir })
  const form = new FormData()
  form.append('file', new Blob(['content']), path)
  await send(url, 'POST', '/files', form)
  await send(url, 'POST', `/files?path=${encodeURIComponent(path)}`, new Blob(['content'], { type: OCTETS }))
  await send(url, 'GET', `/files?path=${encodeURIComponent(path)}`)
  await call('Stat', { path })
  await call('Stat', { path })
  await call('ListDir', { path: dir, depth: 1 })
  const { watcherId } = await call('CreateWatcher', { path: dir })
  await call('Move', { source: path, destination: `${path}-moved` })
  await call('GetWatcherEvents', { watcherId })
  await call('RemoveWatcher', { watcherId })
  await call('Remove', { path: `${path}-moved` })
  await stream(url, 'filesystem.Filesystem/WatchDir', { path: dir }, async () => 'stop')
}

async function useCommands(url: string): Promise<void> {
  await stream(url, 'process.Process/Start', {
    process: { cmd: '/bin/bash', args: ['-l', '-c', 'echo out; echo err >&2'] },
    stdin: false,
  })
  for (const kind of [{ stdin: true }, { pty: { size: { cols: 80, rows: 24 } } }])
    await stream(url, 'process.Process/Start', { process: { cmd: '/bin/cat' }, ...kind }, async (pid) => {
      const process = { pid }
      const bytes = Buffer.from('a\n').toString('base64')
      const input = 'pty' in kind ? { pty: bytes } : { stdin: bytes }
      await unary(url, 'process.Process/SendInput', { process, input })
      await unary(url, 'process.Process/List', {})
      await stream(url, 'process.Process/Connect', { process }, async () => 'stop')
      if ('pty' in kind) await unary(url, 'process.Process/Update', { process, pty: { size: { cols: 81, rows: 24 } } })
      await unary(url, 'process.Process/SendSignal', { process, signal: 'SIGNAL_SIGKILL' })
      return 'go on'
    })
}

/** gRPC-Web and, over HTTP/2, Connect and gRPC. */
async function useOtherProtocols(url: string): Promise<void> {
  const stat = enveloped(STAT_ROOT)
  const method = '/filesystem.Filesystem/Stat'
  const headers = { ...USER, 'content-type': 'application/grpc-web+proto' }
  const response = await fetch(url + method, { method: 'POST', headers, body: stat })
  if ((await response.arrayBuffer()).byteLength <= HEAD_BYTES) throw new Error('gRPC-Web: no answer')
  const session = connect(url)
  try {
    await overHttp2(session, method, { 'content-type': 'application/json', ...CONNECT }, '{"path":"/"}')
    await overHttp2(session, method, { 'content-type': 'application/grpc', te: 'trailers', ...USER }, stat)
  } finally {
    session.close()
  }
}

async function overHttp2(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
): Promise<void> {
  const call = session.request({ ':method': 'POST', ':path': path, ...headers })
  call.end(body)
  let size = 0
  for await (const piece of call) size += piece.length
  if (size <= HEAD_BYTES) throw new Error(`${path} over HTTP/2: no answer`)
}

function enveloped(message: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** A `StatRequest` of `/` in the binary form. */
const STAT_ROOT = Buffer.from([0x0a, 0x01, 0x2f])
const OCTETS = 'application/octet-stream'
/** The user `root`, as SDKs name it. */
const USER = { authorization: 'Basic cm9vdDo=' }
const CONNECT = { ...USER, 'connect-protocol-version': '1' }
const HEAD_BYTES = 5

async function send(url: string, method: string, path: string, body?: string | Blob | FormData): Promise<void> {
  const response = await fetch(url + path, { method, headers: USER, ...(body === undefined ? {} : { body }) })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  await response.arrayBuffer()
}

async function unary(url: string, method: string, message: object): Promise<Readonly<Record<string, unknown>>> {
  const headers = { ...CONNECT, 'content-type': 'application/json' }
  const response = await fetch(`${url}/${method}`, { method: 'POST', headers, body: JSON.stringify(message) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method}: ${response.status} ${text}`)
  return JSON.parse(text)
}

/**
 * Reads a stream to its end, or until `onStart` says 'stop'.
 * @param onStart called once the stream has begun, with the process's id if there is one.
 */
async function stream(
  url: string,
  method: string,
  message: object,
  onStart: (pid: number | undefined) => Promise<'stop' | 'go on'> = async () => 'go on',
): Promise<void> {
  const body = enveloped(Buffer.from(JSON.stringify(message)))
  const headers = { ...CONNECT, 'content-type': 'application/connect+json' }
  const response = await fetch(`${url}/${method}`, { method: 'POST', headers, body })
  let said = ''
  let begun = false
  for await (const piece of response.body ?? []) {
    said += Buffer.from(piece).toString('latin1')
    const pid = /"start":\{"pid":(\d+)/.exec(said)?.[1]
    if (begun || !said.includes('"start"')) continue
    begun = true
    if ((await onStart(pid === undefined ? undefined : Number(pid))) === 'stop') return
  }
  if (!begun) throw new Error(`${method}: ${said}`)
}
