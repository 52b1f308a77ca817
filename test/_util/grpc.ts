import { connect } from 'node:http2'
import { sendWhole } from './http.ts'
import { envelopes } from './rpc.ts'

/** How a gRPC call ended; `message` is decoded. */
export interface GrpcStatus {
  readonly status: number
  readonly message: string
}

export interface GrpcCall {
  /** `process.Process/List` */
  readonly method: string
  /** After `application/grpc` or `application/grpc-web`: `+json`, `+proto` or nothing. */
  readonly codec?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The frames of the request. */
  readonly body: Uint8Array
  /** Milliseconds after which the call fails; default 5,000. */
  readonly timeout?: number
}

const TRAILERS = 0x80

/** Makes a gRPC call over HTTP/2 and gives its status; rejects when there is none in time. */
export function grpc(url: string, call: GrpcCall): Promise<GrpcStatus> {
  return new Promise((resolve, reject) => {
    const session = connect(url)
    const end = (settle: () => void) => {
      clearTimeout(timer)
      session.destroy()
      settle()
    }
    const timer = setTimeout(() => end(() => reject(new Error('no answer'))), call.timeout ?? 20_000)
    session.on('error', (error) => end(() => reject(error)))
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${call.method}`,
      'content-type': `application/grpc${call.codec ?? ''}`,
      te: 'trailers',
      ...call.headers,
    })
    const see = (headers: Record<string, unknown>) => {
      if (headers['grpc-status'] !== undefined) end(() => resolve(statusOf(headers)))
    }
    stream.on('response', see).on('trailers', see).resume()
    stream.on('error', (error) => end(() => reject(error)))
    stream.on('close', () => end(() => reject(new Error('the call ended without a status'))))
    stream.end(call.body)
  })
}

/** The same in gRPC-Web over HTTP/1.1. */
export async function grpcWeb(url: string, call: GrpcCall): Promise<GrpcStatus> {
  const answer = await sendWhole(`${url}/${call.method}`, {
    method: 'POST',
    headers: { 'content-type': `application/grpc-web${call.codec ?? ''}`, ...call.headers },
    body: call.body,
    signal: AbortSignal.timeout(call.timeout ?? 20_000),
  })
  if (answer.headers['grpc-status'] !== undefined) return statusOf(answer.headers)
  const whole = async function* () {
    yield answer.body
  }
  for await (const { flags, payload } of envelopes(whole()))
    if (flags & TRAILERS) return statusOf(Object.fromEntries(payload.toString().split('\r\n').map(pairOf)))
  throw new Error('the call ended without a status')
}

function pairOf(line: string): [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}

function statusOf(headers: Readonly<Record<string, unknown>>): GrpcStatus {
  return { status: Number(headers['grpc-status']), message: decodeURIComponent(String(headers['grpc-message'] ?? '')) }
}
