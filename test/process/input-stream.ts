import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import { enveloped, envelopes, type StreamEnd } from '../_util/rpc.ts'

/** What a `StreamInput` call was answered. */
export interface InputAnswer {
  readonly messages: readonly unknown[]
  readonly end: StreamEnd
}

/** A `StreamInput` call that is under way. */
export interface InputStream {
  /** Sends one message; resolves when the connection takes more. */
  send(message: unknown): Promise<void>
  /** Ends the request and waits for the answer. */
  end(): Promise<InputAnswer>
  /** The answer, also when the daemon gives it before the request has ended. */
  readonly answer: Promise<InputAnswer>
  /** Drops the connection. */
  close(): void
}

const PATH = '/process.Process/StreamInput'
const headers = { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' }

/** Opens the call: chunked over HTTP/1.1, or over HTTP/2. */
export function openInput(url: string, { http2 = false } = {}): InputStream {
  return http2 ? overHttp2(url) : overHttp1(url)
}

function overHttp1(url: string): InputStream {
  const outgoing = request(url + PATH, { method: 'POST', agent: false, headers })
  const answer = new Promise<InputAnswer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (incoming) => {
      read(incoming).then(resolve, reject)
    })
  })
  outgoing.flushHeaders()
  return inputStream(outgoing, answer, () => outgoing.destroy())
}

function overHttp2(url: string): InputStream {
  const session = connectHttp2(url)
  const stream = session.request({ ':method': 'POST', ':path': PATH, ...headers })
  const answer = new Promise<InputAnswer>((resolve, reject) => {
    session.on('error', reject)
    stream.on('error', reject)
    stream.on('response', () => {
      read(stream).then(resolve, reject)
    })
    stream.on('close', () => session.close())
  })
  return inputStream(stream, answer, () => session.destroy())
}

function inputStream(body: Writable, answer: Promise<InputAnswer>, close: () => void): InputStream {
  answer.catch(() => {})
  return {
    answer,
    close,
    async send(message) {
      if (!body.write(enveloped(Buffer.from(JSON.stringify(message))))) await once(body, 'drain')
    },
    end() {
      body.end()
      return answer
    },
  }
}

async function read(body: Readable): Promise<InputAnswer> {
  const messages: unknown[] = []
  for await (const { flags, payload } of envelopes(body)) {
    const value: unknown = JSON.parse(payload.toString())
    // The end frame is the only one with a flag, since nothing is compressed.
    if (flags !== 0) return { messages, end: value as StreamEnd }
    messages.push(value)
  }
  throw new Error('the answer ended without an end frame')
}
