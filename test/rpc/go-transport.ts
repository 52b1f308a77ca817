import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { gunzipSync, gzipSync } from 'node:zlib'
import { create, type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { Code, ConnectError, type Transport } from '@connectrpc/connect'
import { enveloped, envelopes } from '../_util/rpc.ts'

const COMPRESSED = 1
const END = 2

/** Headers of every call; a context with a deadline gives each a timeout. */
const COMMON = {
  'user-agent': 'connect-go/1.18.1 (go1.24.4)',
  'connect-protocol-version': '1',
  'connect-timeout-ms': '30000',
}

/**
 * A client of Go, as far as the server can see: what connect-go sends over HTTP/1.1 in its default codec, binary. With
 * `sendGzip` (`connect.WithSendGzip`) every message is compressed, else they are only accepted so. It checks of an
 * answer what Go checks: the content type, that compression was announced, and that nothing follows the end frame. The
 * headers of a call count before these, and so does its timeout.
 */
export function goTransport(baseUrl: string, { sendGzip }: { readonly sendGzip: boolean }): Transport {
  return {
    // biome-ignore lint/complexity/useMaxParams: the library's interface
    async unary(method, _signal, timeout, header, input) {
      const message = toBinary(method.input, create(method.input, input))
      const body = sendGzip ? gzipSync(message) : message
      const outgoing = send(baseUrl, method, {
        'content-type': 'application/proto',
        'content-length': body.length,
        'accept-encoding': 'gzip',
        ...own(header, timeout),
        ...(sendGzip ? { 'content-encoding': 'gzip' } : {}),
      })
      outgoing.request.end(body)
      const response = await outgoing.response
      const raw = Buffer.concat(await response.toArray())
      const answer = response.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw
      if (response.statusCode !== 200) throw errorOf(JSON.parse(answer.toString()))
      checkType(response, 'application/proto')
      const trailer = new Headers()
      return {
        stream: false,
        service: method.parent,
        method,
        header: headersOf(response),
        trailer,
        message: fromBinary(method.output, answer),
      }
    },
    // biome-ignore lint/complexity/useMaxParams: the library's interface
    async stream(method, signal, timeout, header, input) {
      const outgoing = send(baseUrl, method, {
        'content-type': 'application/connect+proto',
        'transfer-encoding': 'chunked',
        'accept-encoding': 'identity',
        'connect-accept-encoding': 'gzip',
        ...own(header, timeout),
        ...(sendGzip ? { 'connect-content-encoding': 'gzip' } : {}),
      })
      signal?.addEventListener('abort', () => outgoing.request.destroy(), { once: true })
      for await (const message of input) {
        const bytes = toBinary(method.input, create(method.input, message))
        outgoing.request.write(sendGzip ? enveloped(gzipSync(bytes), COMPRESSED) : enveloped(bytes))
      }
      outgoing.request.end()
      const response = await outgoing.response
      checkType(response, 'application/connect+proto')
      const message = received(method.output, response)
      return {
        stream: true,
        service: method.parent,
        method,
        header: headersOf(response),
        trailer: new Headers(),
        message,
      }
    },
  }
}

function own(header: ConstructorParameters<typeof Headers>[0], timeout: number | undefined): OutgoingHttpHeaders {
  return {
    ...Object.fromEntries(new Headers(header)),
    ...(timeout === undefined ? {} : { 'connect-timeout-ms': Math.ceil(timeout) }),
  }
}

function send(baseUrl: string, { parent, name }: DescMethod, headers: OutgoingHttpHeaders) {
  const outgoing = request(`${baseUrl}/${parent.typeName}/${name}`, {
    method: 'POST',
    agent: false,
    headers: { ...COMMON, ...headers },
  })
  const response = once(outgoing, 'response').then(([incoming]: IncomingMessage[]) => {
    if (incoming === undefined) throw new Error('no response')
    return incoming
  })
  // A call that is ended early has no use for it.
  response.catch(() => {})
  outgoing.on('error', () => {})
  return { request: outgoing, response }
}

async function* received<O extends DescMessage>(output: O, response: IncomingMessage): AsyncGenerator<MessageShape<O>> {
  let ended = false
  try {
    for await (const { flags, payload } of envelopes(response)) {
      if (ended) throw new Error('a frame after the end frame')
      if (flags & COMPRESSED && response.headers['connect-content-encoding'] !== 'gzip')
        throw new Error('a compressed message that was not announced')
      const bytes = flags & COMPRESSED ? gunzipSync(payload) : payload
      ended = (flags & END) !== 0
      if (!ended) yield fromBinary(output, bytes)
      else throwErrorOf(JSON.parse(bytes.toString()))
    }
  } finally {
    response.destroy()
  }
  if (!ended) throw new Error('the stream ended without an end frame')
}

function throwErrorOf({ error }: { error?: { code: string; message?: string } }): void {
  if (error !== undefined) throw errorOf(error)
}

function errorOf({ code, message }: { code: string; message?: string }): ConnectError {
  const known = Object.entries(Code).find(([name]) => name.toLowerCase() === code.replaceAll('_', ''))
  return new ConnectError(message ?? '', typeof known?.[1] === 'number' ? known[1] : Code.Unknown)
}

function checkType(response: IncomingMessage, type: string): void {
  const got = response.headers['content-type']
  if (response.statusCode !== 200 || got !== type) throw new Error(`status ${response.statusCode}, type ${got}`)
}

function headersOf({ headers }: IncomingMessage): Headers {
  return new Headers(Object.entries(headers).flatMap(([name, value]) => [[name, String(value)] as [string, string]]))
}
