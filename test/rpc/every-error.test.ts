import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  type MessageShape,
} from '@bufbuild/protobuf'
import { Code, ConnectError, type Transport } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { grpc, grpcWeb } from '../_util/grpc.ts'
import { sendWhole } from '../_util/http.ts'
import { asUser, enveloped } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { METHODS, nameOf } from './services.ts'

const daemon = sharedDaemon({ args: ['-isnotfc', '-start-cmd', 'sleep 1000', '-ready-cmd', 'true'] })

const CLIENTS: Readonly<Record<string, () => Transport>> = {
  'Connect JSON': () => connect(false),
  'Connect binary': () => connect(true),
  'gRPC-Web': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  gRPC: () => createGrpcTransport({ baseUrl: daemon.url }),
}

function connect(useBinaryFormat: boolean): Transport {
  return createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1', useBinaryFormat })
}

const nobody = { process: { tag: 'nobody' } }

/** A request of each method that is refused; undefined: no request is, but for what is the same for all methods. */
const REFUSED: Readonly<Record<string, JsonValue | undefined>> = {
  'activity.v1.Activity/Get': undefined,
  'activity.v1.Activity/Watch': undefined,
  'terminals.v1.Terminals/Open': { name: '' },
  'terminals.v1.Terminals/Attach': { terminal: { name: 'nobody' } },
  'terminals.v1.Terminals/List': undefined,
  'terminals.v1.Terminals/Write': { terminal: { name: 'nobody' } },
  'terminals.v1.Terminals/Resize': { terminal: { name: 'nobody' } },
  'terminals.v1.Terminals/Close': { terminal: { name: 'nobody' } },
  'terminals.v1.Terminals/Record': { terminal: { name: 'nobody' } },
  'files.v1.Files/ReadLines': { path: '/no/such/file' },
  'files.v1.Files/Edit': { files: [] },
  'files.v1.Files/Undo': { edit: '999999' },
  'files.v1.Files/Find': { path: '/no/such/directory' },
  'files.v1.Files/Grep': { pattern: '(' },
  'files.v1.Files/Checksum': { path: '/no/such/file' },
  'files.v1.Files/Copy': { source: '/no/such/file', destination: '/no/such/copy' },
  'files.v1.Files/SetAttributes': { path: '/no/such/file', mode: 0o600 },
  'files.v1.Files/DiskUsage': { path: '/no/such/file' },
  'files.v1.Files/Symlink': { path: '/no/such/link' },
  'files.v1.Files/ReadLink': { path: '/no/such/link' },
  'files.v1.Files/Changes': { path: '/no/such/directory' },
  'files.v1.Files/Truncate': { path: '/no/such/file' },
  'jobs.v1.Jobs/Get': {},
  'jobs.v1.Jobs/List': { filter: { state: 9 } },
  'jobs.v1.Jobs/Wait': { job: { key: 'nobody' } },
  'jobs.v1.Jobs/Read': { job: { pid: 999_999_999 } },
  'jobs.v1.Jobs/Write': { job: { tag: 'nobody' } },
  'jobs.v1.Jobs/Kill': { job: { tag: 'nobody' } },
  'jobs.v1.Jobs/Watch': { filter: { state: 9 } },
  'logs.v1.Logs/Read': { from: '999999999999' },
  'capabilities.v1.Capabilities/Get': undefined,
  'process.v1.ProcessService/Start': { config: { command: ['/no/such/program'] } },
  'process.v1.ProcessService/Execute': { config: {} },
  'process.v1.ProcessService/WriteStdin': { processId: 999_999_999, eof: {} },
  'process.v1.ProcessService/SendSignal': { processId: 1, signal: 'SIGNAL_UNSPECIFIED' },
  'process.v1.ProcessService/ResizeTTY': { processId: 999_999_999, cols: 1, rows: 1 },
  'process.Process/List': undefined,
  'process.Process/Connect': nobody,
  'process.Process/Start': { process: { cmd: '/no/such/program' } },
  'process.Process/Update': nobody,
  'process.Process/StreamInput': { start: nobody },
  'process.Process/SendInput': { ...nobody, input: { stdin: '' } },
  'process.Process/SendSignal': { ...nobody, signal: 'SIGNAL_SIGKILL' },
  'process.Process/CloseStdin': nobody,
  'filesystem.Filesystem/Stat': { path: '/no/such/file' },
  'filesystem.Filesystem/MakeDir': { path: '/dev/null' },
  'filesystem.Filesystem/Move': { source: '/no/such/file', destination: '/no/such/other' },
  'filesystem.Filesystem/ListDir': { path: '/no/such/directory', depth: 1 },
  'filesystem.Filesystem/Remove': { path: '' },
  'filesystem.Filesystem/WatchDir': { path: '/no/such/directory' },
  'filesystem.Filesystem/CreateWatcher': { path: '/no/such/directory' },
  'filesystem.Filesystem/GetWatcherEvents': { watcherId: 'none' },
  'filesystem.Filesystem/RemoveWatcher': { watcherId: 'none' },
  'metrics.Metrics/Get': undefined,
  'metrics.Metrics/List': { from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' },
  'metrics.Metrics/Watch': undefined,
  'supervisor.Supervisor/Get': { service: 'none' },
  'supervisor.Supervisor/List': undefined,
  'supervisor.Supervisor/Watch': { service: 'none' },
  'supervisor.Supervisor/Start': { service: 'none' },
  'supervisor.Supervisor/Stop': { service: 'none' },
  'ports.Ports/List': undefined,
  'ports.Ports/Watch': undefined,
  'watch.v1.Watch/Directories': { paths: [] },
}

const ROWS = METHODS.map((method) => [nameOf(method), method] as const)

interface Failure {
  readonly code: string | undefined
  readonly message: string
}

/** Work on trees that takes a moment says how far it is, also when it fails afterwards. */
function tellsProgress(message: object): boolean {
  // A message of any service: those that tell progress have this field.
  const { event } = message as { event?: { case?: string } }
  return event?.case === 'progress'
}

/** How a call fails. Throws if it does not. */
async function failureOf(
  transport: Transport,
  method: DescMethod,
  message: MessageShape<DescMessage>,
  headers: Record<string, string> = {},
): Promise<Failure> {
  const request = async function* () {
    yield message
  }
  try {
    // Its kind says so.
    if (method.methodKind === 'unary')
      await transport.unary(method as DescMethodUnary, undefined, undefined, headers, message)
    else {
      const stream = await transport.stream(method as DescMethodStreaming, undefined, undefined, headers, request())
      for await (const sent of stream.message)
        if (!tellsProgress(sent)) throw new Error('a message instead of an error')
    }
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error)
    return { code: Code[code], message: rawMessage }
  }
  throw new Error('the call was answered')
}

test.each(ROWS)('A27 %s refuses with the same code and message in every protocol', async (name, method) => {
  if (!(name in REFUSED)) throw new Error(`${name} has no refused request in every-error.test.ts`)
  const json = REFUSED[name]
  if (json === undefined) return
  const message = fromJson(method.input, json)
  const failures: Record<string, Failure> = {}
  for (const [client, make] of Object.entries(CLIENTS)) failures[client] = await failureOf(make(), method, message)
  const first = failures['Connect JSON']
  expect(first?.message).not.toBe('')
  for (const [client, failure] of Object.entries(failures)) expect(failure, client).toEqual(first)
})

test.each(ROWS)('A39 %s refuses an unknown user in every protocol', async (_, method) => {
  for (const [client, make] of Object.entries(CLIENTS))
    expect(await failureOf(make(), method, create(method.input), asUser('nobody-of-that-name')), client).toEqual({
      code: 'Unauthenticated',
      message: expect.stringContaining('nobody-of-that-name'),
    })
})

/** An error in the words of Connect, in a body or in the last frame of a stream. */
async function overConnect(
  method: DescMethod,
  codec: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Failure> {
  const unary = method.methodKind === 'unary'
  const answer = await sendWhole(`${daemon.url}/${nameOf(method)}`, {
    method: 'POST',
    headers: { 'content-type': `application/${unary ? '' : 'connect+'}${codec}`, ...headers },
    body: unary ? body : enveloped(body),
  })
  const [, code, message] = /"code":"(\w+)","message":("(?:[^"\\]|\\.)*")/.exec(answer.text) ?? []
  return { code, message: message === undefined ? '' : JSON.parse(message) }
}

test.each(ROWS)('A23 %s refuses what is no message with the same text in every protocol', async (name, method) => {
  const broken = { json: Buffer.from('{"'), proto: Buffer.of(0xff) }
  for (const codec of ['json', 'proto'] as const) {
    const refused = await overConnect(method, codec, broken[codec])
    expect(refused).toEqual({ code: 'invalid_argument', message: expect.stringMatching(/^unmarshal message: /) })
    const call = { method: name, codec: `+${codec}`, body: enveloped(broken[codec]) }
    const expected = { status: Code.InvalidArgument, message: refused.message }
    expect(await grpc(daemon.url, call), `gRPC ${codec}`).toEqual(expected)
    expect(await grpcWeb(daemon.url, call), `gRPC-Web ${codec}`).toEqual(expected)
  }
})

test.each(ROWS)('A22 A25 %s refuses another version of Connect and an unknown encoding', async (_, method) => {
  const encoding = method.methodKind === 'unary' ? 'content-encoding' : 'connect-content-encoding'
  for (const codec of ['json', 'proto']) {
    const body = Buffer.from(codec === 'json' ? '{}' : '')
    expect(await overConnect(method, codec, body, { 'connect-protocol-version': '2' })).toEqual({
      code: 'invalid_argument',
      message: 'Connect-Protocol-Version must be "1": got "2"',
    })
    // The envelope of a stream says whether its message is compressed.
    expect(await overConnect(method, codec, body, { [encoding]: 'br' })).toEqual({
      code: 'unimplemented',
      message: 'unknown compression "br": supported encodings are gzip',
    })
  }
})
