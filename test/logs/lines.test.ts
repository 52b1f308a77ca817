import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Process } from '../../src/gen/process/process_pb.js'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { grpc } from '../_util/grpc.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, open, shell, start, transcript } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon({ args: ['-isnotfc', '-verbose'] })
})
afterAll(() => daemon[Symbol.asyncDispose]())

type Line = Record<string, unknown>

/** The lines of an operation, and how many there are without any. */
function lines(own: Daemon = daemon): Line[] {
  const texts = own.stdout().split('\n').slice(0, -1)
  return texts.filter((text) => text.startsWith('{')).map((text): Line => JSON.parse(text))
}

/** The lines that `work` wrote, once one of them has the `last` message. */
async function linesOf(work: () => Promise<unknown>, last: string): Promise<Line[]> {
  const before = lines().length
  await work()
  await expect
    .poll(() =>
      lines()
        .slice(before)
        .map(({ message }) => message),
    )
    .toContain(last)
  return lines().slice(before)
}

const stamped = { timestamp: expect.any(String), ms: expect.any(Number) }

test('G30 a unary call is one line with the logger of its service and the number of its request', async () => {
  const [first] = await linesOf(() => call(daemon.url, 'process.Process/List', {}), 'rpc')
  const [second] = await linesOf(() => call(daemon.url, 'filesystem.Filesystem/Stat', { path: '/none' }), 'rpc')
  expect(first).toEqual({
    ...stamped,
    level: 'debug',
    logger: 'process',
    operation_id: expect.stringMatching(/^\d+$/),
    method: 'process.Process/List',
    code: 'ok',
    request_bytes: 2,
    response_bytes: 2,
    message: 'rpc',
  })
  expect(second).toMatchObject({ logger: 'filesystem', method: 'filesystem.Filesystem/Stat', code: 'not_found' })
  expect(Number(second?.['operation_id'])).toBe(Number(first?.['operation_id']) + 1)
})

test('G34 a command is reported at its start and its end, with sizes and without what they are of', async () => {
  const run = () =>
    shell(daemon.url, 'printf 12345; printf 123 >&2; exit 3', { headers: { 'connect-timeout-ms': '60000' } })
  const found = await linesOf(run, 'process_end')
  await expect.poll(() => lines().at(-1)).toMatchObject({ message: 'rpc_stream_end' })
  const byMessage = new Map(found.map((line) => [line['message'], line]))
  const id = found[0]?.['operation_id']
  const pid = byMessage.get('process_start')?.['pid']
  expect(byMessage.get('process_start')).toEqual({
    level: 'info',
    logger: 'process',
    timestamp: expect.any(String),
    operation_id: id,
    pid: expect.any(Number),
    command: 'sh',
    args: 2,
    request_timeout_ms: expect.any(Number),
    user: expect.any(String),
    terminal: false,
    message: 'process_start',
  })
  expect(byMessage.get('process_end')).toEqual({
    ...stamped,
    level: 'info',
    logger: 'process',
    operation_id: id,
    pid,
    process_result: 'exit status 3',
    stdout_bytes: 5,
    stderr_bytes: 3,
    pty_bytes: 0,
    message: 'process_end',
  })
})

test('G30 a stream is reported when it begins and when it ends', async () => {
  const found = await linesOf(
    async () => transcript(await start(daemon.url, '/bin/true', { stdin: false })),
    'rpc_stream_end',
  )
  const id = found[0]?.['operation_id']
  expect(found.find(({ message }) => message === 'rpc_stream_start')).toMatchObject({
    level: 'debug',
    logger: 'process',
    method: 'process.Process/Start',
  })
  expect(found.find(({ message }) => message === 'rpc_stream_end')).toMatchObject({
    operation_id: id,
    method: 'process.Process/Start',
    code: 'ok',
    response_bytes: expect.any(Number),
  })
})

test('G30 N42 a stream whose client goes away ends with canceled, on the level info', async () => {
  const stream = await open(daemon.url, 'filesystem.Filesystem/WatchDir', { path: '/' })
  await stream.next()
  const found = await linesOf(async () => stream.close(), 'rpc_stream_end')
  expect(found.at(-1)).toMatchObject({ level: 'info', logger: 'filesystem', code: 'canceled' })
})

test('N42 a stream whose deadline passes ends on the level warn, over gRPC as well', async () => {
  const ended = { level: 'warn', logger: 'filesystem', code: 'deadline_exceeded' }
  const headers = { 'connect-timeout-ms': '50' }
  const watch = async () =>
    (await open(daemon.url, 'filesystem.Filesystem/WatchDir', { path: '/' }, { headers })).rest()
  expect((await linesOf(watch, 'rpc_stream_end')).at(-1)).toMatchObject(ended)
  const body = enveloped(Buffer.from('{"path":"/"}'))
  const timeout = { 'grpc-timeout': '50m' }
  const overGrpc = () =>
    grpc(daemon.url, { method: 'filesystem.Filesystem/WatchDir', codec: '+json', headers: timeout, body })
  expect((await linesOf(overGrpc, 'rpc_stream_end')).at(-1)).toMatchObject(ended)
})

test('G30 calls over gRPC are reported in the same way', async () => {
  const client = createClient(Process, createGrpcTransport({ baseUrl: daemon.url }))
  expect((await linesOf(() => client.list({}), 'rpc'))[0]).toMatchObject({
    logger: 'process',
    method: 'process.Process/List',
    code: 'ok',
    operation_id: expect.stringMatching(/^\d+$/),
  })
  const run = async () => {
    for await (const _ of client.start({ process: { cmd: '/bin/true' }, stdin: false }));
  }
  const found = await linesOf(run, 'rpc_stream_end')
  expect(found.map(({ message }) => message)).toEqual([
    'rpc_stream_start',
    'process_start',
    'process_end',
    'rpc_stream_end',
  ])
  expect(new Set(found.map(({ operation_id }) => operation_id)).size).toBe(1)
})

test('G30 a file request is one line with its status, its sizes and the path of the file, and nothing else of the query', async () => {
  await using dir = await makeTmpDir()
  const url = `${daemon.url}/files?path=${encodeURIComponent(`${dir.path}/a b`)}&signature=canary`
  const upload = () =>
    sendWhole(url, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: '12345' })
  const [stored] = await linesOf(upload, 'request')
  expect(stored).toEqual({
    ...stamped,
    level: 'debug',
    logger: 'filesystem',
    operation_id: expect.any(String),
    method: 'POST',
    path: '/files',
    file: `${dir.path}/a b`,
    status: 200,
    sent: true,
    response_bytes: expect.any(Number),
    message: 'request',
    ...(stored?.['request_bytes'] === undefined ? {} : { request_bytes: 5 }),
  })
  const [fetched] = await linesOf(() => sendWhole(url), 'request')
  expect(fetched).toMatchObject({ method: 'GET', status: 200, response_bytes: 5, file: `${dir.path}/a b` })
  const [missing] = await linesOf(() => sendWhole(`${daemon.url}/files?path=/none/there`), 'request')
  expect(missing).toMatchObject({ method: 'GET', status: 404, file: '/none/there' })
})

test('G30 a call that is refused before it is one is reported as a request', async () => {
  const wrong = () => call(daemon.url, 'process.Process/List', {}, { headers: { 'content-type': 'text/plain' } })
  expect((await linesOf(wrong, 'request'))[0]).toMatchObject({ path: '/process.Process/List', status: 415 })
  expect((await linesOf(() => sendWhole(`${daemon.url}/envs`), 'request'))[0]).toMatchObject({
    path: '/envs',
    status: 200,
  })
})

test('G30 what is asked every few seconds is reported only if it fails', async () => {
  const ask = async () => {
    for (const path of ['/health', '/metrics', '/ready']) await sendWhole(`${daemon.url}${path}`)
    await sendWhole(`${daemon.url}/health`, { method: 'DELETE' })
  }
  const found = await linesOf(ask, 'request')
  expect(found).toMatchObject([{ path: '/health', method: 'DELETE', status: 405 }])
})

test('G32 without -verbose nothing is on standard output but the address and what went wrong', async () => {
  await using quiet = await startDaemon({ args: ['-isnotfc'] })
  await shell(quiet.url, 'true')
  await sendWhole(`${quiet.url}/envs`)
  await quiet.stop()
  expect(lines(quiet).filter(({ level }) => level !== 'warn' && level !== 'error')).toEqual([])
  const others = quiet
    .stdout()
    .split('\n')
    .filter((text) => !text.startsWith('{'))
  expect(others).toEqual([`listening on ${quiet.url}`, ''])
  expect(quiet.stderr()).toBe('')
})
