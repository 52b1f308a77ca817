import { type Headers, type RawRequest, send, sendWhole } from './http.ts'

export interface CallOptions extends Pick<RawRequest, 'signal' | 'http2'> {
  readonly headers?: Headers
}

/** A call's body: unary JSON answers and errors alike. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The parsed JSON; undefined if the body is not JSON. */
  readonly body: unknown
}

/** What the last frame of a stream says; `error` is absent after success. */
export interface StreamEnd {
  readonly error?: { readonly code: string; readonly message?: string; readonly details?: unknown }
  readonly metadata?: Readonly<Record<string, readonly string[]>>
}

/** A server stream, frame by frame, as Connect JSON. */
export interface Stream<M> {
  readonly status: number
  readonly headers: Headers
  /** Messages up to the end frame; can be iterated once. Throws if the connection breaks before the end frame. */
  readonly messages: AsyncGenerator<M, StreamEnd>
  /** Reads all that is left. */
  rest(): Promise<{ messages: M[]; end: StreamEnd }>
  /** The next message; throws if the stream ends instead. */
  next(): Promise<M>
  /** Goes away without a word. */
  close(): void
}

const END_FLAG = 2

/** Basic authentication of a user without a password, as SDKs name a user. */
export function asUser(name: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${name}:`).toString('base64')}` }
}

/**
 * A unary call over Connect JSON.
 * @param method `process.Process/List`
 */
export async function call(url: string, method: string, message: unknown, options: CallOptions = {}): Promise<Answer> {
  const answer = await sendWhole(`${url}/${method}`, {
    ...options,
    method: 'POST',
    headers: { 'content-type': 'application/json', 'connect-protocol-version': '1', ...options.headers },
    body: JSON.stringify(message),
  })
  return { status: answer.status, headers: answer.headers, body: parsed(answer.text) }
}

/** A server-streaming call over Connect JSON; resolves with the response's headers. */
export async function open<M = ProcessMessage>(
  url: string,
  method: string,
  message: unknown,
  options: CallOptions = {},
): Promise<Stream<M>> {
  const response = await send(`${url}/${method}`, {
    ...options,
    method: 'POST',
    headers: { 'content-type': 'application/connect+json', 'connect-protocol-version': '1', ...options.headers },
    body: enveloped(Buffer.from(JSON.stringify(message))),
  })
  const messages = decoded<M>(response.body)
  return {
    status: response.status,
    headers: response.headers,
    messages,
    close: response.close,
    async next() {
      const item = await messages.next()
      if (item.done) throw new Error(`the stream ended: ${JSON.stringify(item.value)}`)
      return item.value
    },
    async rest() {
      const left: M[] = []
      for (;;) {
        const item = await messages.next()
        if (item.done) return { messages: left, end: item.value }
        left.push(item.value)
      }
    },
  }
}

/** One Connect envelope, uncompressed. */
export function enveloped(payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flags, 0)
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

/** The envelopes of a body: flags and payload. */
export async function* envelopes(body: AsyncIterable<Buffer>): AsyncGenerator<{ flags: number; payload: Buffer }> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    let at = 0
    while (held.length - at >= 5 && held.length - at >= 5 + held.readUInt32BE(at + 1)) {
      const size = held.readUInt32BE(at + 1)
      yield { flags: held.readUInt8(at), payload: held.subarray(at + 5, at + 5 + size) }
      at += 5 + size
    }
    held = held.subarray(at)
  }
  if (held.length > 0) throw new Error(`the body ends within an envelope: ${held.length} bytes`)
}

async function* decoded<M>(body: AsyncIterable<Buffer>): AsyncGenerator<M, StreamEnd> {
  for await (const { flags, payload } of envelopes(body)) {
    const value: unknown = JSON.parse(payload.toString())
    // The caller names the type of the messages that its method streams.
    if (flags & END_FLAG) return value as StreamEnd
    yield value as M
  }
  throw new Error('the stream ended without an end frame')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What `process.Process/Start` and `Connect` stream, as JSON; bytes are base64. */
export interface ProcessMessage {
  readonly event: {
    readonly start?: { readonly pid: number; readonly offsets?: Readonly<Record<string, string>> }
    readonly data?: {
      readonly stdout?: string
      readonly stderr?: string
      readonly pty?: string
      readonly offset?: string
    }
    readonly end?: ProcessEnd
    readonly keepalive?: Record<string, never>
  }
}

/** `exitCode` is absent for 0. */
export interface ProcessEnd {
  readonly exitCode?: number
  readonly exited?: boolean
  readonly status?: string
  readonly error?: string
}

/** The pid that a process stream begins with; takes that event. */
export async function pidOf(stream: Stream<ProcessMessage>): Promise<number> {
  const { event } = await stream.next()
  if (event.start === undefined) throw new Error(`not a start event: ${JSON.stringify(event)}`)
  return event.start.pid
}

/** Everything that a process stream said. */
export interface Transcript {
  readonly pid: number
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly pty: Buffer
  /** Undefined if the stream ended without one. */
  readonly end: ProcessEnd | undefined
  readonly streamEnd: StreamEnd
}

/** Reads a process stream to its end. Throws unless the first event is the start. */
export async function transcript(stream: Stream<ProcessMessage>): Promise<Transcript> {
  const { messages, end: streamEnd } = await stream.rest()
  const events = messages.map((message) => message.event)
  const bytes = (kind: 'stdout' | 'stderr' | 'pty') =>
    Buffer.concat(events.map((event) => Buffer.from(event.data?.[kind] ?? '', 'base64')))
  const pid = events[0]?.start?.pid
  if (pid === undefined)
    throw new Error(`no start event: ${JSON.stringify({ messages: messages.slice(0, 3), streamEnd })}`)
  const end = events.find((event) => event.end !== undefined)?.end
  return { pid, stdout: bytes('stdout'), stderr: bytes('stderr'), pty: bytes('pty'), end, streamEnd }
}

export interface RunOptions extends CallOptions {
  readonly args?: readonly string[]
  readonly envs?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly pty?: { readonly cols: number; readonly rows: number }
  readonly tag?: string
  /** Absent means an open stdin, as old clients have it. */
  readonly stdin?: boolean
}

/** Starts a program: `process.Process/Start`. */
export function start(url: string, file: string, options: RunOptions = {}): Promise<Stream<ProcessMessage>> {
  const { args, envs, cwd, pty, tag, stdin, ...transport } = options
  const message = {
    process: { cmd: file, args: args ?? [], ...(envs && { envs }), ...(cwd !== undefined && { cwd }) },
    ...(pty && { pty: { size: pty } }),
    ...(tag !== undefined && { tag }),
    ...(stdin !== undefined && { stdin }),
  }
  return open(url, 'process.Process/Start', message, transport)
}

/** Runs a shell command to its end, without input unless `stdin` says so. */
export async function shell(url: string, command: string, options: RunOptions = {}): Promise<Transcript> {
  return transcript(await start(url, '/bin/sh', { args: ['-c', command], stdin: false, ...options }))
}
