import { Code } from '@connectrpc/connect'
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { visit } from './calls/visit.ts'
import { CALLS } from './every-call.ts'
import { goTransport } from './go-transport.ts'
import { METHODS, nameOf } from './services.ts'
import { heard } from './typed-clients.ts'

const daemon = sharedDaemon({ args: ['-isnotfc', '-start-cmd', 'sleep 1000', '-ready-cmd', 'true'] })

/** Gzip both ways, also for the smallest message. */
function connectNode(httpVersion: '1.1' | '2', useBinaryFormat: boolean) {
  return createConnectTransport({
    baseUrl: daemon.url,
    httpVersion,
    useBinaryFormat,
    sendCompression: compressionGzip,
    acceptCompression: [compressionGzip],
    compressMinBytes: 0,
  })
}

const CLIENTS = {
  'Connect in binary over HTTP/1.1': () => connectNode('1.1', true),
  'Connect in binary over HTTP/2': () => connectNode('2', true),
  'Connect in JSON over HTTP/1.1': () => connectNode('1.1', false),
  'Connect in JSON over HTTP/2': () => connectNode('2', false),
  'gRPC-Web over HTTP/1.1': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  'gRPC-Web over HTTP/2': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '2' }),
  'gRPC in binary': () => createGrpcTransport({ baseUrl: daemon.url }),
  'gRPC in JSON': () => createGrpcTransport({ baseUrl: daemon.url, useBinaryFormat: false }),
  'the bytes of connect-go': () => goTransport(daemon.url, { sendGzip: false }),
  'the bytes of connect-go that sends gzip': () => goTransport(daemon.url, { sendGzip: true }),
}
const ROWS = METHODS.map(nameOf).flatMap((method) =>
  Object.entries(CLIENTS).map(([client, make]) => ({ method, client, make })),
)

test.each(ROWS)('A22 A25 D77 $method answers $client', async ({ method, make }) => {
  const call = CALLS[method]
  if (call === undefined) throw new Error(`${method} has no call in test/rpc/calls`)
  await using dir = await makeTmpDir()
  await call(visit(make(), dir.path, `tag${Math.random()}`))
})

test.each(Object.entries(CLIENTS))(
  'A25 A27 errors of unary calls and of streams reach %s with code and message',
  async (_, make) => {
    await using dir = await makeTmpDir()
    const { process, filesystem } = visit(make(), dir.path, '')
    const unknown = { selector: { case: 'tag' as const, value: 'none' } }
    const expected = { code: Code.NotFound, rawMessage: 'process with tag none not found' }
    await expect(process.sendSignal({ process: unknown, signal: 9 })).rejects.toMatchObject(expected)
    await expect(heard(process.connect({ process: unknown }))).rejects.toMatchObject(expected)
    await expect(filesystem.stat({ path: `${dir.path}/none` })).rejects.toMatchObject({ code: Code.NotFound })
  },
)
