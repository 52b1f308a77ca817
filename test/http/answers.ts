import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import type { HeaderList } from '../hostile/protocol-headers.ts'

/** What a request is answered with; `reset`: the connection or the stream was ended without a status. */
export type Answered = number | 'reset'

/** A request as it goes onto the wire. */
export interface WireRequest {
  readonly method: string
  readonly target: string
  readonly headers: HeaderList
  readonly body: Buffer
}

/**
 * Milliseconds that an answer may take: far above what a busy machine needs, so that only a call that hangs runs into
 * it.
 */
const ANSWER_MS = 10_000

/** Sends a request over HTTP/1.1 and a connection of its own; rejects when nothing comes in time. */
export function askHttp1(port: number, { method, target, headers, body }: WireRequest): Promise<Answered> {
  const lines = [['Host', 'localhost'] as const, ...headers, ['Content-Length', String(body.length)] as const]
  const head = `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return inTime((settle) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body])))
    let text = ''
    socket.setEncoding('latin1').on('data', (part: string) => {
      text += part
      const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1]
      if (status !== undefined) settle(Number(status))
    })
    socket.on('error', () => settle('reset')).on('close', () => settle('reset'))
    return () => socket.destroy()
  })
}

/** The same over a session of HTTP/2. */
export function askHttp2(session: ClientHttp2Session, request: WireRequest): Promise<Answered> {
  const { method, target, body } = request
  return inTime((settle) => {
    const headers: Record<string, string> = {}
    // What is there twice is joined, as the client would not send it else; `te` may have one value only.
    for (const [name, value] of request.headers)
      headers[name] = headers[name] === undefined || name === 'te' ? value : `${headers[name]}, ${value}`
    const stream = session.request({ ':method': method, ':path': target, ...headers }, { endStream: false })
    stream.on('response', (response) => settle(response[':status'] ?? 0))
    stream.on('error', () => settle('reset')).on('close', () => settle('reset'))
    stream.resume().end(body)
    return () => stream.close()
  })
}

/** A session that may be used until the daemon ends it. */
export function openSession(port: number): ClientHttp2Session {
  return connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {})
}

function inTime(ask: (settle: (answered: Answered) => void) => () => void): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      end()
      reject(new Error('no answer'))
    }, ANSWER_MS)
    const end = ask((answered) => {
      clearTimeout(late)
      resolve(answered)
      // What is asked for at once may be settled at once.
      setImmediate(() => end())
    })
  })
}
