import { fileURLToPath } from 'node:url'
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const proto = fileURLToPath(new URL('../../proto', import.meta.url))

/** A message as proto-loader gives it, with the names of its members; `event` of process streams says which is set. */
export interface GrpcMessage {
  readonly event: {
    readonly event: 'start' | 'data' | 'end' | 'keepalive'
    readonly start?: { readonly pid: number }
    readonly data?: { readonly output: string; readonly stdout?: Buffer }
    readonly end?: { readonly exit_code: number }
  }
}

/** A client that knows no more than the files of `proto/`. Disposing closes its connection. */
export interface GrpcClient extends Disposable {
  unary(method: string, message: object): Promise<Record<string, unknown>>
  stream(method: string, message: object): ClientReadableStream<GrpcMessage>
}

/** @param service of `<name>/<name>.proto`. @param target host and port; the connection has no TLS. */
export function dial(name: string, service: string, target: string): GrpcClient {
  const loaded = loadPackageDefinition(loadSync(`${name}/${name}.proto`, { includeDirs: [proto], oneofs: true }))
  // What is loaded is known by its names only.
  const Service = (loaded[name] as Record<string, ServiceClientConstructor>)[service]
  if (Service === undefined) throw new Error(`${name} has no ${service}`)
  const client = new Service(target, credentials.createInsecure())
  const method = (called: string) => {
    const bound: unknown = client[called]
    if (typeof bound !== 'function') throw new Error(`${service} has no ${called}`)
    return bound.bind(client)
  }
  return {
    stream: (called, message) => method(called)(message, new Metadata()),
    unary: (called, message) =>
      new Promise((resolve, reject) => {
        method(called)(message, (error: ServiceError | null, answer: Record<string, unknown>) =>
          error === null ? resolve(answer) : reject(error),
        )
      }),
    [Symbol.dispose]: () => client.close(),
  }
}

/** All messages of a stream; rejects with its error. */
export async function messagesOf(stream: ClientReadableStream<GrpcMessage>): Promise<GrpcMessage[]> {
  return stream.toArray()
}
