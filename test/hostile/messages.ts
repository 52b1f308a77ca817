import { gzipSync } from 'node:zlib'
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  fromJson,
  type JsonValue,
  toBinary,
} from '@bufbuild/protobuf'
import { SERVICES } from '../rpc/services.ts'
import type { Random } from './random.ts'

/** A request that is well-formed HTTP, whatever it means. */
export interface HostileRequest {
  /** What it is, to repeat and to count it. */
  readonly kind: string
  readonly http2: boolean
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

const METHODS = SERVICES.flatMap((service) => service.methods)

/** Their bytes are not changed at random: a path that lost its end could be that of the machine's own files. */
const DESTRUCTIVE = /^(Remove|Move|MakeDir|Start)$/

const TEXTS = [
  '',
  'x',
  '😀',
  '\ud83d',
  '\0',
  '../..',
  'a'.repeat(5000),
  '%00',
  '"',
  '\u2028',
  'ＡＢ',
  '-1',
  '{}',
] as const
const NUMBERS = [0, 1, -1, 2 ** 31, 2 ** 53, 1e300, 0.5, 4294967296, -(2 ** 63)] as const
const JUNK = ['null', '[]', '{', '{"x":', '"', '[[[[', '1e999', '\uFEFF{}', '{"a":1,"a":2}', ''] as const

/** Programs that end at once. */
const PROGRAMS = ['/bin/true', 'true', '/no/such/program', '', '/etc/passwd', '/tmp'] as const

/** Makes one request with paths below `directory`. */
export function hostileRequest(random: Random, directory: string): HostileRequest {
  return random.chance(0.8) ? rpcRequest(random, directory) : routeRequest(random, directory)
}

function rpcRequest(random: Random, directory: string): HostileRequest {
  const method = random.pick(METHODS as [DescMethod, ...DescMethod[]])
  const protocol = random.pick(['connect', 'connect', 'connect-stream', 'grpc', 'grpc-web'])
  const codec = random.pick(['json', 'proto'])
  const payload = messageBytes(random, { method, codec, directory })
  const type = {
    connect: `application/${codec}`,
    'connect-stream': `application/connect+${codec}`,
    grpc: `application/grpc+${codec}`,
    'grpc-web': `application/grpc-web+${codec}`,
  }[protocol]
  const framed = protocol === 'connect' ? payload : envelopes(random, payload)
  const zipped = protocol === 'connect' && random.chance(0.1)
  return {
    kind: `${protocol} ${codec} ${method.name}`,
    http2: protocol === 'grpc' || random.chance(0.2),
    method: 'POST',
    path: `/${method.parent.typeName}/${method.name}`,
    headers: {
      'content-type': type ?? '',
      ...(zipped ? { 'content-encoding': 'gzip' } : {}),
      ...oddHeaders(random),
    },
    body: zipped ? gzipSync(framed) : framed,
  }
}

interface MessageOptions {
  readonly method: DescMethod
  readonly codec: string
  readonly directory: string
}

function messageBytes(random: Random, { method, codec, directory }: MessageOptions): Buffer {
  const json = randomMessage(random, method.input, directory, 0)
  const fixed = DESTRUCTIVE.test(method.name)
  if (codec === 'json') {
    if (!fixed && random.chance(0.2)) return Buffer.from(random.pick(JUNK))
    const text = Buffer.from(JSON.stringify(json))
    return fixed ? text : mutated(random, text)
  }
  if (!fixed && random.chance(0.2)) return random.bytes(random.int(64))
  const bytes = binaryOf(method.input, json)
  return fixed ? bytes : mutated(random, bytes)
}

function binaryOf(schema: DescMessage, json: JsonValue): Buffer {
  try {
    return Buffer.from(toBinary(schema, fromJson(schema, json, { ignoreUnknownFields: true })))
  } catch {
    return Buffer.from('08ffffffff0f', 'hex')
  }
}

const MAX_DEPTH = 4

function randomMessage(random: Random, schema: DescMessage, directory: string, depth: number): JsonValue {
  const message: Record<string, JsonValue> = {}
  for (const field of schema.fields) {
    if (random.chance(0.3)) continue
    message[field.jsonName] = randomField(random, field, directory, depth)
  }
  if (random.chance(0.1)) message['unknownField'] = [{}, { deep: [[]] }, 'x']
  return message
}

function randomField(random: Random, field: DescField, directory: string, depth: number): JsonValue {
  const one = () => randomValue(random, field, directory, depth)
  if (field.fieldKind === 'list') return Array.from({ length: random.int(4) }, one)
  if (field.fieldKind === 'map') return { [random.pick(TEXTS)]: random.pick(TEXTS) }
  return one()
}

function randomValue(random: Random, field: DescField, directory: string, depth: number): JsonValue {
  const { message } = field
  if (message !== undefined) return depth >= MAX_DEPTH ? {} : randomMessage(random, message, directory, depth + 1)
  if (random.chance(0.1) && !/path|source|destination|cwd|cmd/.test(field.name))
    return random.pick([null, true, [], {}])
  if (field.name === 'cmd') return random.pick(PROGRAMS)
  if (/path|source|destination|cwd/.test(field.name))
    return `${directory}/${random.pick(['a', 'b', 'c/d', 'é', 'a/b'])}`
  if (field.name === 'signal') return random.pick(['SIGNAL_SIGTERM', 'SIGNAL_SIGKILL', 'SIGNAL_NONE', 7])
  return random.chance(0.5) ? random.pick(TEXTS) : random.pick(NUMBERS)
}

/** One to three envelopes, some with flags, lengths or compression that are wrong. */
function envelopes(random: Random, payload: Buffer): Buffer {
  const frames: Buffer[] = []
  for (let left = 1 + random.int(3); left > 0; left--) {
    const head = Buffer.alloc(5)
    head[0] = random.chance(0.8) ? 0 : random.int(256)
    head.writeUInt32BE(random.chance(0.9) ? payload.length : random.int(2 ** 32), 1)
    frames.push(head, payload)
    if (random.chance(0.7)) break
  }
  return Buffer.concat(frames)
}

/** A few bytes changed, left out or doubled; most of the time none. */
function mutated(random: Random, bytes: Buffer): Buffer {
  if (random.chance(0.5) || bytes.length === 0) return bytes
  const copy = Buffer.from(bytes)
  for (let left = 1 + random.int(4); left > 0; left--) copy[random.int(copy.length)] = random.int(256)
  const at = random.int(copy.length)
  if (random.chance(0.2)) return copy.subarray(0, at)
  return random.chance(0.2) ? Buffer.concat([copy, copy.subarray(at)]) : copy
}

function oddHeaders(random: Random): Record<string, string> {
  const headers: Record<string, string> = {}
  if (random.chance(0.5))
    headers['authorization'] =
      `Basic ${Buffer.from(random.pick(['root:', 'user:', '😀:', ':', 'nobody'])).toString('base64')}`
  if (random.chance(0.2)) headers['connect-protocol-version'] = random.pick(['1', '2', '', 'x'])
  if (random.chance(0.2)) headers['connect-timeout-ms'] = random.pick(['0', '1', '100', '-1', 'x', '99999999999'])
  if (random.chance(0.1)) headers['grpc-timeout'] = random.pick(['1n', '99999999H', '1', 'x', '1m'])
  if (random.chance(0.1)) headers['grpc-encoding'] = random.pick(['gzip', 'identity', 'br', ''])
  if (random.chance(0.1)) headers['connect-content-encoding'] = random.pick(['gzip', 'identity', 'br'])
  if (random.chance(0.1)) headers['keepalive-ping-interval'] = random.pick(['0', '1', '-5', '1e9', 'x'])
  if (random.chance(0.1)) headers['accept-encoding'] = random.pick(['gzip', 'br', '*;q=0', 'identity;q=0', ','])
  if (random.chance(0.1)) headers['user-agent'] = random.pick(['e2b-js-sdk/1.0.1', 'connect-python', 'x'.repeat(2000)])
  if (random.chance(0.05)) headers['watch-exclude'] = random.pick(['*', '**/**/**', '[a-', '\\', '!x,y'])
  return headers
}

const ROUTES = [
  '/health',
  '/metrics',
  '/envs',
  '/files',
  '/files/compose',
  '/init',
  '/ready',
  '/collapse',
  '/upgrade',
  '/x',
  '/',
] as const

function routeRequest(random: Random, directory: string): HostileRequest {
  const route = random.pick(ROUTES)
  const query = new URLSearchParams()
  if (random.chance(0.7)) query.set('path', `${directory}/${random.pick(['a', 'b', 'c/d'])}`)
  if (random.chance(0.4)) query.set('username', random.pick(['root', 'user', '😀', '']))
  if (random.chance(0.2))
    query.set(random.pick(['signature', 'signature_expiration', 'format', 'x']), random.pick(TEXTS))
  const method = random.pick(['GET', 'GET', 'POST', 'PUT', 'OPTIONS', 'DELETE', 'HEAD', 'PATCH'])
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const boundary = random.pick(['b', '', 'x'.repeat(80)])
  return {
    kind: `${method} ${route}`,
    http2: random.chance(0.2),
    method,
    path: `${route}?${query}`,
    headers: {
      'content-type': random.pick([
        'application/octet-stream',
        'application/json',
        `multipart/form-data; boundary=${boundary}`,
        'text/plain; charset=utf-16',
        'x',
      ]),
      ...(random.chance(0.2)
        ? { range: random.pick(['bytes=0-', 'bytes=-1', 'bytes=5-1', 'bytes=0-0,2-3', 'x']) }
        : {}),
      ...(random.chance(0.1) ? { 'content-encoding': random.pick(['gzip', 'deflate', 'br', 'gzip, gzip']) } : {}),
      ...oddHeaders(random),
    },
    body: hasBody ? routeBody(random, boundary) : Buffer.alloc(0),
  }
}

function routeBody(random: Random, boundary: string): Buffer {
  const part = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${random.pick(TEXTS)}"\r\n\r\nx\r\n`
  const end = random.chance(0.8) ? `--${boundary}--\r\n` : ''
  return mutated(random, Buffer.from(random.pick([part + end, part.repeat(3) + end, '{"sources":[]}', ...JUNK])))
}
