import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { Readable } from 'node:stream'

export type Headers = Readonly<Record<string, string>>

export interface RawRequest {
  readonly method?: string
  readonly headers?: Headers
  readonly body?: Uint8Array | string
  /** Aborting destroys the connection. */
  readonly signal?: AbortSignal
  /** HTTP/2 with prior knowledge, over a connection of its own. */
  readonly http2?: boolean
}

export interface RawResponse {
  readonly status: number
  /** Lower-case names; several values are joined with `, `. */
  readonly headers: Headers
  /** Its 'error' is the connection's. */
  readonly body: Readable
  /** Drops the connection at once, as a client that goes away. Idempotent. */
  close(): void
}

/** One request over a connection of its own, which ends with the response. Nothing is added, retried or decoded. */
export function send(url: string, options: RawRequest = {}): Promise<RawResponse> {
  return options.http2 ? sendHttp2(url, options) : sendHttp1(url, options)
}

/** `send`, then the whole body. */
export async function sendWhole(
  url: string,
  options: RawRequest = {},
): Promise<{ status: number; headers: Headers; body: Buffer; text: string }> {
  const response = await send(url, options)
  const body = Buffer.concat(await response.body.toArray())
  response.close()
  return { status: response.status, headers: response.headers, body, text: body.toString() }
}

function sendHttp1(url: string, options: RawRequest): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: options.method ?? 'GET',
      agent: false,
      headers: { connection: 'close', ...options.headers },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      incoming.on('error', () => {})
      const close = () => {
        outgoing.destroy()
      }
      resolve({ status: incoming.statusCode ?? 0, headers: joined(incoming.headers), body: incoming, close })
    })
    outgoing.end(options.body)
  })
}

function sendHttp2(url: string, options: RawRequest): Promise<RawResponse> {
  const { origin, pathname, search } = new URL(url)
  return new Promise((resolve, reject) => {
    const session = connectHttp2(origin)
    session.on('error', reject)
    const stream = session.request({
      ':method': options.method ?? 'GET',
      ':path': pathname + search,
      ...options.headers,
    })
    const close = () => session.destroy()
    options.signal?.addEventListener('abort', close, { once: true })
    stream.on('error', reject)
    stream.on('close', () => session.close())
    stream.on('response', (headers) =>
      resolve({ status: headers[':status'] ?? 0, headers: joined(headers), body: stream, close }),
    )
    stream.end(options.body)
  })
}

function joined(headers: Readonly<Record<string, unknown>>): Headers {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !name.startsWith(':'))
      .map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)]),
  )
}
