import * as http from 'node:http'
import { Readable } from 'node:stream'
import { enveloped, messagesOf } from './envelopes.ts'
import { Failure } from './failure.ts'

/** The daemon that is spoken to, over Connect with JSON: https://connectrpc.com/docs/protocol. */
export interface Sandbox {
  /**
   * An unary call: the answer as JSON. Throws Failure: `lost` also after `silence` milliseconds (half a minute)
   * without an answer. The caller names the type that the method answers with.
   */
  call<T>(method: string, message: unknown, silence?: number): Promise<T>
  /** A server stream: its messages as JSON. Throws Failure: `lost` also after half a minute without a sign. */
  stream<T>(method: string, message: unknown, headers?: Headers): AsyncGenerator<T, void>
  /** The answer of a URL as JSON, of the type that the caller names. Throws Failure. */
  getJson<T>(path: string): Promise<T>
  /** Sends a body to a URL; `silence` as in `call`. Throws Failure, with the text of a refusal. */
  postBody(path: string, headers: Headers, body: Buffer | undefined, silence: number): Promise<void>
  /** The bytes of a file. Throws Failure. */
  download(path: string): AsyncGenerator<Buffer, void>
  /** Which sandbox it is, and for which user. */
  readonly identity: string
  /** A request of any kind, whatever it is answered with. Throws Failure `lost`. */
  exchange(asked: Exchange): Promise<Answer>
  /** `GET /files`: the body, and at its end the trailers. The caller takes or returns the body. Throws Failure. */
  get(query: Query, signal: AbortSignal, headers?: Headers): Promise<Download>
  /** `POST /files` of a body that is made as it is sent. Throws Failure. */
  post(query: Query, body: AsyncIterable<Buffer>, headers: Headers, signal: AbortSignal): Promise<void>
}

/** Headers of a request; undefined: none of that name. */
export type Headers = Readonly<Record<string, string | undefined>>

/** Parameters of a URL; undefined: none of that name. */
type Query = Readonly<Record<string, string | undefined>>

interface Exchange {
  readonly method: string
  readonly path: string
  /** Goes with the user; default: there is none. */
  readonly query?: Query
  readonly headers: Headers
  readonly body?: AsyncIterable<Buffer>
  readonly signal: AbortSignal
}

/** An answer that has come whole. */
interface Answer {
  readonly status: number
  header(name: string): string | undefined
  /** What it means as a failure. */
  refusal(): Failure
}

/** A body that is on its way. */
interface Download {
  /** 200, or 206 for a part. */
  readonly status: number
  header(name: string): string | undefined
  readonly body: AsyncGenerator<Buffer, void>
  /** Once the body has ended. */
  trailer(name: string): string | undefined
}

/** Where the daemon is, and as whom to call. */
export interface Address {
  readonly url: URL
  readonly token: string | undefined
  /** User that commands run as; undefined: the default one. */
  readonly user: string | undefined
}

/** Seconds between signs of life of a stream, and how long none may come before it counts as lost. */
const KEEPALIVE_S = 10
const SILENCE_MS = 30_000
/** A tree that was sent is put in its place, and the old one removed: minutes on a busy disk. */
const STORED_MS = 600_000

/** Makes the client. Connections are made when they are needed and left open for the next call. */
export function openSandbox(address: Address): Sandbox {
  const send = sender(address)
  return {
    call: async <T>(method: string, message: unknown, silence?: number) => {
      const headers = { 'content-type': 'application/json' }
      const response = await send(`POST /${method}`, { body: JSON.stringify(message), headers, silence })
      // The caller names the type.
      return JSON.parse(await acceptedText(response)) as T
    },
    stream: async function* <T>(method: string, message: unknown, headers: Headers = {}) {
      const type = { 'content-type': 'application/connect+json', 'keepalive-ping-interval': String(KEEPALIVE_S) }
      const response = await send(`POST /${method}`, { body: enveloped(message), headers: { ...type, ...headers } })
      if (response.statusCode !== 200) throw refusal(response, await textOf(response))
      try {
        yield* messagesOf<T>(broken(response))
      } finally {
        response.destroy()
      }
    },
    getJson: async <T>(path: string) => {
      const response = await send(`GET ${path}`, {})
      // The caller names the type.
      return JSON.parse(await acceptedText(response)) as T
    },
    postBody: async (path, headers, body, silence) => {
      const response = await send(`POST ${path}`, { headers, silence, ...(body === undefined ? {} : { body }) })
      await acceptedText(response)
    },
    download: async function* (path) {
      yield* bodyOf(await send(`GET ${fileLine({ path }, address)}`, {}))
    },
    identity: `${address.url} ${address.user ?? ''}`,
    exchange: async ({ method, path, query, ...sent }) => {
      const line = query === undefined ? path : withQuery(path, query, address)
      const response = await send(`${method} ${line}`, { ...sent, silence: STORED_MS })
      const text = await textOf(response)
      return { status: response.statusCode ?? 0, header: headersOf(response), refusal: () => refusal(response, text) }
    },
    get: async (query, signal, headers = {}) => {
      const response = await send(`GET ${fileLine(query, address)}`, { signal, headers })
      const { statusCode: status = 0 } = response
      if (status !== 200 && status !== 206) throw refusal(response, await textOf(response))
      return { status, header: headersOf(response), body: bodyOf(response), trailer: (name) => response.trailers[name] }
    },
    post: async (query, body, headers, signal) => {
      const response = await send(`POST ${fileLine(query, address)}`, { body, headers, signal, silence: STORED_MS })
      await acceptedText(response)
    },
  }
}

function fileLine(query: Query, address: Address): string {
  return withQuery('/files', query, address)
}

function withQuery(path: string, query: Query, { user }: Address): string {
  const given = Object.entries({ ...query, username: user }).filter(
    (pair): pair is [string, string] => pair[1] !== undefined,
  )
  return `${path}?${new URLSearchParams(given)}`
}

function headersOf({ headers }: http.IncomingMessage): (name: string) => string | undefined {
  return (name) => [headers[name] ?? []].flat()[0]
}

async function* bodyOf(response: http.IncomingMessage): AsyncGenerator<Buffer, void> {
  if (response.statusCode !== 200 && response.statusCode !== 206) throw refusal(response, await textOf(response))
  try {
    yield* broken(response)
  } finally {
    response.destroy()
  }
}

interface Sent {
  readonly body?: string | Buffer | AsyncIterable<Buffer>
  readonly headers?: Headers
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly silence?: number | undefined
}

function sender({ url, token, user }: Address) {
  const agent = { keepAlive: true }
  const common: Headers = {
    'connect-protocol-version': '1',
    'user-agent': 'envd-ctl',
    'x-access-token': token,
    authorization: user === undefined ? undefined : `Basic ${Buffer.from(`${user}:`).toString('base64')}`,
  }
  const modules = url.protocol === 'https:' ? import('node:https') : Promise.resolve(http)
  const opened = modules.then(({ request, Agent }) => ({ request, agent: new Agent(agent) }))

  /** @param line method and path, as in a request. */
  return async (
    line: string,
    { body = '', headers, signal, silence = SILENCE_MS }: Sent,
  ): Promise<http.IncomingMessage> => {
    const { request, agent: shared } = await opened
    const given = Object.entries({ ...common, ...headers }).filter(([, value]) => value !== undefined)
    const [method = '', path = ''] = line.split(' ', 2)
    return new Promise((resolve, reject) => {
      const options = { method, agent: shared, headers: Object.fromEntries(given) as http.OutgoingHttpHeaders, signal }
      const sent = request(new URL(`${url.pathname.replace(/\/$/, '')}${path}`, url), options, resolve)
      sent.on('error', ({ message }) => reject(new Failure('lost', `${url.host} does not answer: ${message}`)))
      sent.setTimeout(silence, () => sent.destroy(new Error('silence')))
      if (typeof body === 'string' || Buffer.isBuffer(body)) return void sent.end(body)
      const source = Readable.from(body, { objectMode: false })
      source.on('error', (error) => {
        reject(error)
        sent.destroy()
      })
      // An answer that comes before all was sent is taken, and the rest is not made.
      sent.on('close', () => source.destroy())
      source.pipe(sent)
    })
  }
}

/** The body; a failure of the connection is `lost`. */
async function* broken(response: http.IncomingMessage): AsyncGenerator<Buffer, void> {
  try {
    for await (const chunk of response) yield chunk
  } catch (error) {
    throw new Failure('lost', `the connection broke: ${error instanceof Error ? error.message : error}`)
  }
}

/** The body of an answer that is 200. Throws Failure. */
async function acceptedText(response: http.IncomingMessage): Promise<string> {
  const text = await textOf(response)
  if (response.statusCode !== 200) throw refusal(response, text)
  return text
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of broken(response)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** The error of an answer that is none: Connect's, or whatever else is in the way. */
function refusal({ statusCode = 0, headers }: http.IncomingMessage, text: string): Failure {
  try {
    // What every error of the daemon has; what is not of this form has neither.
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown }
    if (typeof message === 'string') return new Failure(typeof code === 'string' ? code : 'unknown', message)
  } catch {}
  if (headers['content-type']?.startsWith('text/plain') && text !== '') return new Failure('unknown', text)
  return new Failure(statusCode === 502 || statusCode === 503 ? 'unavailable' : 'unknown', `HTTP ${statusCode}`)
}
