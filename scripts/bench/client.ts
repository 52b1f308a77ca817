import { Agent, request } from 'node:http'
import type { Readable } from 'node:stream'

/** A whole answer. `size` counts the body also when it was not kept. */
export interface Answer {
  readonly status: number
  readonly size: number
  readonly body: Buffer
}

/** What to send. */
export interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly body?: Readable | Buffer | string
  /** Gets the body piece by piece; it is not kept then. */
  readonly onData?: (piece: Buffer) => void
}

/** The user of every call, as SDKs name it. */
export const USER = { authorization: 'Basic cm9vdDo=' }

/**
 * Plain HTTP/1.1 over kept connections, with nothing in between: what is measured is the daemon, as far as possible.
 */
export class Client {
  readonly url: URL
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 256 })

  constructor(url: string) {
    this.url = new URL(url)
  }

  /** One exchange. Rejects unless the status is one of success. */
  send({ method, path, headers = {}, body, onData }: Call): Promise<Answer> {
    const { hostname: host, port } = this.url
    return new Promise((resolve, reject) => {
      const outgoing = request(
        { agent: this.#agent, host, port, method, path, headers: { ...USER, ...headers } },
        (response) => {
          const pieces: Buffer[] = []
          let size = 0
          response.on('data', (piece: Buffer) => {
            size += piece.length
            if (onData === undefined) pieces.push(piece)
            else onData(piece)
          })
          response.on('error', reject)
          response.on('end', () => {
            const status = response.statusCode ?? 0
            const answer = { status, size, body: Buffer.concat(pieces) }
            if (status < 300) resolve(answer)
            else reject(new Error(`${method} ${path}: ${status} ${answer.body}`))
          })
        },
      )
      outgoing.on('error', reject)
      if (Buffer.isBuffer(body) || typeof body === 'string' || body === undefined) outgoing.end(body)
      else body.on('error', reject).pipe(outgoing)
    })
  }

  /** A unary RPC as Connect JSON. */
  unary(method: string, message: unknown): Promise<Answer> {
    const headers = { 'content-type': 'application/json', 'connect-protocol-version': '1' }
    return this.send({ method: 'POST', path: `/${method}`, headers, body: JSON.stringify(message) })
  }

  /** A server stream in the Connect protocol; `message` is JSON, or the bytes of a binary message. */
  stream(method: string, message: object | Buffer, onData?: (piece: Buffer) => void): Promise<Answer> {
    const binary = message instanceof Buffer
    const headers = {
      'content-type': `application/connect+${binary ? 'proto' : 'json'}`,
      'connect-protocol-version': '1',
    }
    const body = enveloped(binary ? message : Buffer.from(JSON.stringify(message)))
    return this.send({ method: 'POST', path: `/${method}`, headers, body, ...(onData === undefined ? {} : { onData }) })
  }

  /** Starts a command and resolves with all that its stream said, end included. */
  start(cmd: string, args: readonly string[] = [], onData?: (piece: Buffer) => void): Promise<Answer> {
    return this.stream('process.Process/Start', { process: { cmd, args }, stdin: false }, onData)
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** A message of a Connect stream in its envelope. */
export function enveloped(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** Cuts a stream of envelopes into messages, whatever the pieces are that it comes in. */
export function messageReader(onMessage: (message: Buffer, flags: number) => void): (piece: Buffer) => void {
  let held: Buffer = Buffer.alloc(0)
  return (piece) => {
    held = held.length === 0 ? piece : Buffer.concat([held, piece])
    while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
      const end = 5 + held.readUInt32BE(1)
      onMessage(held.subarray(5, end), held.readUInt8(0))
      held = held.subarray(end)
    }
  }
}

/** `path` as a query of the files routes. */
export function filesPath(path: string): string {
  return `/files?path=${encodeURIComponent(path)}`
}
