import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf'
import { createGrpcTransport } from '@connectrpc/connect-node'
import {
  type Client,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import {
  ListRequestSchema,
  type ListResponse,
  Process,
  StartRequestSchema,
  type StartResponse,
  StreamInputRequestSchema,
} from '../../src/gen/process/process_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import {
  clientsOf,
  expectedFiles,
  expectedTour,
  heard,
  started,
  tourOfFiles,
  tourOfProcesses,
} from './typed-clients.ts'

const daemon = commonDaemon()

/** A service of the generated code as grpc-js wants it defined. */
function definitionOf(service: DescService) {
  const method = ({ name, input, output, methodKind }: DescService['methods'][number]) => ({
    path: `/${service.typeName}/${name}`,
    requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
    responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
    requestSerialize: (message: MessageInitShape<DescMessage>) => Buffer.from(toBinary(input, create(input, message))),
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
    responseSerialize: (message: MessageInitShape<DescMessage>) =>
      Buffer.from(toBinary(output, create(output, message))),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  })
  return Object.fromEntries(service.methods.map((desc) => [desc.name, method(desc)]))
}

const definition = definitionOf(Process)

function connect(): Client & Disposable {
  const client = new (makeGenericClientConstructor(definition, 'Process'))(
    `127.0.0.1:${daemon.port}`,
    credentials.createInsecure(),
  )
  return Object.assign(client, { [Symbol.dispose]: () => client.close() })
}

function methodOf(name: string) {
  const found = definition[name]
  if (found === undefined) throw new Error(`no method ${name}`)
  return found
}

function startCall(client: Client, request: MessageInitShape<typeof StartRequestSchema>, deadline?: number) {
  const { path, requestSerialize, responseDeserialize } = methodOf('Start')
  const options = deadline === undefined ? {} : { deadline: Date.now() + deadline }
  // The method's own schema made the message.
  const deserialize = responseDeserialize as (bytes: Buffer) => StartResponse
  return client.makeServerStreamRequest(
    path,
    requestSerialize,
    deserialize,
    create(StartRequestSchema, request),
    options,
  )
}

/** The status that a call fails with. */
async function failure(responses: AsyncIterable<unknown>): Promise<{ code: number; details: string }> {
  try {
    for await (const _ of responses);
  } catch (error) {
    // What grpc-js fails with.
    const { code, details } = error as ServiceError
    // The escapes that decodeURI leaves alone, such as that of a colon, are left to the caller.
    return { code, details: decodeURIComponent(details) }
  }
  throw new Error('the call did not fail')
}

test('A4 D54 a grpc-js client runs a command, streams its input and reads its output', async () => {
  using client = connect()
  const { pid, rest } = await started(startCall(client, { process: { cmd: 'cat' } }))
  const { path, requestSerialize, responseDeserialize } = methodOf('StreamInput')
  await new Promise<void>((resolve, reject) => {
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
      error === null ? resolve() : reject(error),
    )
    const send = (event: NonNullable<MessageInitShape<typeof StreamInputRequestSchema>['event']>) =>
      call.write(create(StreamInputRequestSchema, { event }))
    send({ case: 'start', value: { process: { selector: { case: 'pid', value: pid } } } })
    for (let i = 0; i < 1000; i++)
      send({ case: 'data', value: { input: { input: { case: 'stdin', value: Buffer.from(`${i}\n`) } } } })
    call.end()
  })
  const close = methodOf('CloseStdin')
  await new Promise<void>((resolve, reject) => {
    const request = { process: { selector: { case: 'pid', value: pid } } }
    client.makeUnaryRequest(close.path, close.requestSerialize, close.responseDeserialize, request, (error) =>
      error === null ? resolve() : reject(error),
    )
  })
  const { stdout, status: end } = await heard(rest)
  expect({ stdout, end }).toEqual({
    stdout: Array.from({ length: 1000 }, (_, i) => `${i}\n`).join(''),
    end: 'exit status 0',
  })
})

test('A27 a grpc-js client gets errors as status and details', async () => {
  using client = connect()
  expect(await failure(startCall(client, { process: { cmd: '' } }))).toEqual({
    code: status.INVALID_ARGUMENT,
    details: 'error starting process: cmd must not be empty',
  })
  expect(await failure(startCall(client, { process: { cmd: 'true', cwd: '/no/such' } }))).toEqual({
    code: status.INVALID_ARGUMENT,
    details: "cwd '/no/such' does not exist",
  })
})

test('D22 the deadline of a gRPC call ends the command', async () => {
  using client = connect()
  const { code } = await failure(startCall(client, { process: { cmd: 'sleep', args: ['1000'] }, tag: 'dead' }, 300))
  expect(code).toBe(status.DEADLINE_EXCEEDED)
  const { path, requestSerialize, responseDeserialize } = methodOf('List')
  const list = () =>
    new Promise<number>((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        create(ListRequestSchema),
        (error, response) => {
          if (error) return reject(error)
          // The method's own schema made the message.
          resolve((response as ListResponse).processes.filter(({ tag }) => tag === 'dead').length)
        },
      )
    })
  await expect.poll(list).toBe(0)
})

test('A39 a stranger is unauthenticated in gRPC', async () => {
  using client = connect()
  const { path, requestSerialize, responseDeserialize } = methodOf('Start')
  const metadata = new Metadata()
  metadata.set('authorization', `Basic ${Buffer.from('nobody-of-that-name:').toString('base64')}`)
  const stream = client.makeServerStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    { process: { cmd: 'true' } },
    metadata,
  )
  expect(await failure(stream)).toEqual({
    code: status.UNAUTHENTICATED,
    details: "invalid username: 'nobody-of-that-name'",
  })
})

test('A18 an unknown gRPC method is unimplemented', async () => {
  using client = connect()
  const { requestSerialize, responseDeserialize } = methodOf('Start')
  const stream = client.makeServerStreamRequest('/process.Process/Nope', requestSerialize, responseDeserialize, {})
  expect((await failure(stream)).code).toBe(status.UNIMPLEMENTED)
})

test('D54 every process call works in gRPC', async () => {
  const clients = clientsOf(createGrpcTransport({ baseUrl: daemon.url }))
  expect(await tourOfProcesses(clients, true)).toEqual(expectedTour(true))
})

test('every filesystem call works in gRPC', async () => {
  await using dir = await makeTmpDir()
  const clients = clientsOf(createGrpcTransport({ baseUrl: daemon.url }))
  expect(await tourOfFiles(clients, dir.path)).toEqual(expectedFiles(dir.path))
})

test('D21 a gRPC client that goes away leaves the command running', async () => {
  using client = connect()
  const call = startCall(client, { process: { cmd: 'sleep', args: ['1000'] }, tag: 'left' })
  const { pid } = await started(call)
  call.cancel()
  const { process } = clientsOf(createGrpcTransport({ baseUrl: daemon.url }))
  const again = await started(process.connect({ process: { selector: { case: 'tag', value: 'left' } } }))
  expect(again.pid).toBe(pid)
  await process.sendSignal({ process: { selector: { case: 'pid', value: pid } }, signal: 15 })
  expect((await heard(again.rest)).status).toBe('signal: terminated')
})
