import { Code, ConnectError } from '@connectrpc/connect'
import { createGrpcWebTransport as createNodeTransport } from '@connectrpc/connect-node'
import { createGrpcWebTransport } from '@connectrpc/connect-web'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { asUser, enveloped } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { framesOf } from './frames.ts'
import { clientsOf, expectedFiles, expectedTour, heard, tourOfFiles, tourOfProcesses } from './typed-clients.ts'

const daemon = commonDaemon()

test('D77 a browser client of gRPC-Web makes every call that browsers can', async () => {
  const clients = clientsOf(createGrpcWebTransport({ baseUrl: daemon.url }))
  expect(await tourOfProcesses(clients, false)).toEqual(expectedTour(false))
})

test.each(['1.1', '2'] as const)('D77 a gRPC-Web client makes every call over HTTP/%s', async (httpVersion) => {
  await using dir = await makeTmpDir()
  const clients = clientsOf(createNodeTransport({ baseUrl: daemon.url, httpVersion }))
  expect(await tourOfProcesses(clients, true)).toEqual(expectedTour(true))
  expect(await tourOfFiles(clients, dir.path)).toEqual(expectedFiles(dir.path))
})

test('D77 errors of gRPC-Web come back with status 200, in headers alone or in a trailer frame alone', async () => {
  const post = (method: string, headers: Record<string, string> = {}) =>
    sendWhole(`${daemon.url}/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web+proto', ...headers },
      body: enveloped(new Uint8Array()),
    })
  const early = await post('process.Process/List', asUser('nobody-of-that-name'))
  expect({ status: early.status, code: early.headers['grpc-status'], body: early.body.length }).toEqual({
    status: 200,
    code: '16',
    body: 0,
  })
  const late = await post('process.Process/SendSignal')
  const frames = await framesOf(late.body)
  expect({ status: late.status, flags: frames.map(({ flags }) => flags) }).toEqual({ status: 200, flags: [0x80] })
  expect(String(frames[0]?.payload)).toMatch(/^grpc-status: 12\r\n/m)
})

test('D77 a gRPC-Web client gets code and message', async () => {
  const { process } = clientsOf(createGrpcWebTransport({ baseUrl: daemon.url }))
  const missing = await process
    .sendSignal({ process: { selector: { case: 'pid', value: 999_999_999 } }, signal: 9 })
    .catch(ConnectError.from)
  expect(missing).toMatchObject({ code: Code.NotFound, rawMessage: 'process with pid 999999999 not found' })
  const refused = await heard(process.start({ process: { cmd: '' } })).catch(ConnectError.from)
  expect(refused).toMatchObject({
    code: Code.InvalidArgument,
    rawMessage: 'error starting process: cmd must not be empty',
  })
})

test('D22 the timeout of a gRPC-Web call ends the command', async () => {
  const { process } = clientsOf(createGrpcWebTransport({ baseUrl: daemon.url }))
  const ended = await heard(
    process.start({ process: { cmd: 'sleep', args: ['1000'] }, tag: 'late' }, { timeoutMs: 300 }),
  ).catch(ConnectError.from)
  expect(ended).toMatchObject({ code: Code.DeadlineExceeded })
  await expect.poll(async () => (await process.list({})).processes.length).toBe(0)
})
