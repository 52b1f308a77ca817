import { Code } from '@connectrpc/connect'
import { compressionGzip, createConnectTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { CALLS, SERVICES, visit } from './every-call.ts'
import { goTransport } from './go-transport.ts'
import { sharedDaemon } from './shared-daemon.ts'
import { heard } from './typed-clients.ts'

const daemon = sharedDaemon({ args: ['-isnotfc', '-start-cmd', 'sleep 1000', '-ready-cmd', 'true'] })

/** Binary, gzip both ways, also for the smallest message. */
function connectNode(httpVersion: '1.1' | '2') {
  return createConnectTransport({
    baseUrl: daemon().url,
    httpVersion,
    useBinaryFormat: true,
    sendCompression: compressionGzip,
    acceptCompression: [compressionGzip],
    compressMinBytes: 0,
  })
}

const CLIENTS = {
  'connect-node over HTTP/1.1': () => connectNode('1.1'),
  'connect-node over HTTP/2': () => connectNode('2'),
  'the bytes of connect-go': () => goTransport(daemon().url, { sendGzip: false }),
  'the bytes of connect-go that sends gzip': () => goTransport(daemon().url, { sendGzip: true }),
}
const METHODS = SERVICES.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`))
const ROWS = METHODS.flatMap((method) => Object.entries(CLIENTS).map(([client, make]) => ({ method, client, make })))

test.each(ROWS)('A22 A25 $method in binary with gzip, through $client', async ({ method, make }) => {
  const call = CALLS[method]
  if (call === undefined) throw new Error(`${method} has no call in every-call.ts`)
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
