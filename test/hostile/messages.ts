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
import { type HostileRequest, JUNK, mutated, oddHeaders, type Place, TEXTS } from './message-parts.ts'
import type { Random } from './random.ts'
import { routeRequest } from './route-messages.ts'

const METHODS = SERVICES.flatMap((service) => service.methods)

/** Their bytes are not changed at random: a path that lost its end could be that of the machine's own files. */
const DESTRUCTIVE = /^(Remove|Move|MakeDir|Start)$/

const NUMBERS = [0, 1, -1, 2 ** 31, 2 ** 53, 1e300, 0.5, 4294967296, -(2 ** 63)] as const
/** Programs that end at once. */
const PROGRAMS = ['/bin/true', 'true', '/no/such/program', '', '/etc/passwd', '/tmp'] as const

/** Makes one request. */
export function hostileRequest(random: Random, place: Place): HostileRequest {
  return random.chance(0.7) ? rpcRequest(random, place.directory) : routeRequest(random, place)
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
