import { gzipSync } from 'node:zlib'
import { enveloped } from '../_util/rpc.ts'
import { heavyInits } from './heavy-inits.ts'

const MIB = 2 ** 20

/** One request that is a lot of work for its size. */
export interface HeavyRequest {
  readonly name: string
  readonly path: string
  readonly body: Buffer | string
  readonly headers: Readonly<Record<string, string>>
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

type Call = [name: string, method: string, type: string, body: Buffer, more?: Readonly<Record<string, string>>]

function rpc(...[name, method, type, body, more = {}]: Call): HeavyRequest {
  return { name, path: `/${method}`, body, headers: { 'content-type': `application/${type}`, ...more } }
}

/** The same message so many times. */
function envelopes(message: Buffer, count: number): Buffer {
  const one = enveloped(message)
  return Buffer.alloc(one.length * count, one)
}

/** A field of protobuf that has a length. */
function field(number: number, bytes: Buffer): Buffer {
  const length: number[] = []
  for (let left = bytes.length; ; left >>>= 7) {
    if (left < 0x80) {
      length.push(left)
      break
    }
    length.push((left & 0x7f) | 0x80)
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes])
}

const START = 'process.Process/Start'
const INPUT = 'process.Process/StreamInput'
const TEXT_16 = Buffer.alloc(15 * MIB, 'x')
const TEXT_6 = Buffer.alloc(6 * MIB - 100, 'x')
const selector = { process: { pid: 999_999_999 } }
const program = (bytes: Buffer) => field(1, bytes)
const command = Buffer.from('/no/such/program')

function starts(): HeavyRequest[] {
  const arg = (text: Buffer) => program(Buffer.concat([field(1, command), field(2, text)]))
  const args = (count: number, text: string) => json({ process: { cmd: 'x', args: Array(count).fill(text) } })
  const envs = Object.fromEntries(Array.from({ length: 16_000 }, (_, i) => [`V${i}`, 'x'.repeat(300)]))
  const both = (name: string, text: Buffer) => [
    rpc(`${name} in binary`, START, 'connect+proto', enveloped(text)),
    rpc(`${name} over gRPC-Web`, START, 'grpc-web+proto', enveloped(text)),
  ]
  const inJson = (name: string, text: Buffer) => [
    rpc(`${name} in JSON`, START, 'connect+json', enveloped(text)),
    rpc(`${name} in JSON over gRPC-Web`, START, 'grpc-web+json', enveloped(text)),
  ]
  const binary = (number: number, text: Buffer) => program(field(number, text))
  return [
    ...both('an argument of 15 MiB', arg(TEXT_16)),
    ...both('an argument of 6 MiB', arg(TEXT_6)),
    ...both('a command of 6 MiB', binary(1, TEXT_6)),
    ...both('a directory of 6 MiB', program(Buffer.concat([field(1, Buffer.from('true')), field(4, TEXT_6)]))),
    ...both(
      '64,000 arguments',
      program(Buffer.concat([field(1, command), ...Array(64_000).fill(field(2, Buffer.from('x')))])),
    ),
    ...both(
      '48 arguments of 128 KiB',
      program(Buffer.concat([field(1, command), ...Array(48).fill(field(2, Buffer.alloc(131_000, 'x')))])),
    ),
    ...inJson('an argument of 6 MiB', json({ process: { cmd: 'x', args: [String(TEXT_6)] } })),
    ...inJson(
      'an argument of 6 MiB of escapes',
      Buffer.from(`{"process":{"cmd":"x","args":["${'\\u00e9'.repeat(2 * MIB)}"]}}`),
    ),
    ...inJson('64,000 arguments', args(64_000, 'x')),
    ...inJson('an argument of 4 MiB beyond ASCII', json({ process: { cmd: 'x', args: ['é'.repeat(2 * MIB)] } })),
    ...inJson('an escape after 6 MiB', json({ process: { cmd: 'x', args: [`${TEXT_6}\n`] } })),
    ...inJson('a command of 6 MiB', json({ process: { cmd: String(TEXT_6) } })),
    ...inJson('16,000 variables', json({ process: { cmd: 'x', envs } })),
    ...inJson('a tag of 6 MiB', json({ process: { cmd: 'true' }, tag: String(TEXT_6) })),
    ...inJson('a NUL byte after 6 MiB', json({ process: { cmd: 'true', args: [`${TEXT_6}\0`] } })),
  ]
}

function inputs(): HeavyRequest[] {
  const data = (bytes: number) => ({ data: { input: { stdin: Buffer.alloc(bytes).toString('base64') } } })
  const pid = json({ start: selector })
  const every = (...[name, method, message, count, codec]: [string, string, Buffer, number, 'json' | 'proto']) =>
    ['connect', 'grpc', 'grpc-web'].map((protocol) =>
      rpc(`${name}, ${protocol}+${codec}`, method, `${protocol}+${codec}`, envelopes(message, count)),
    )
  return [
    ...every('20,000 empty messages of StreamInput', INPUT, json({}), 20_000, 'json'),
    ...every('20,000 tiny messages of StreamInput', INPUT, json({ keepalive: {} }), 20_000, 'json'),
    ...every('20,000 tiny messages of StreamInput', INPUT, Buffer.from([0x1a, 0x00]), 20_000, 'proto'),
    ...every('20,000 messages without a byte of StreamInput', INPUT, Buffer.alloc(0), 20_000, 'proto'),
    ...every('20,000 inputs of a byte', INPUT, json(data(1)), 20_000, 'json'),
    ...every('20,000 messages for a unary call', 'process.Process/List', json({}), 20_000, 'json'),
    rpc('20,000 messages for a stream', START, 'connect+json', envelopes(json({}), 100_000)),
    rpc('2,000 zipped messages', INPUT, 'connect+proto', zippedEnvelopes(2_000), {
      'connect-content-encoding': 'gzip',
    }),
    rpc(
      'inputs of 15 MiB in one message',
      INPUT,
      'connect+json',
      Buffer.concat([enveloped(pid), enveloped(json(data(15 * MIB)))]),
    ),
    rpc(
      'a unary input of 15 MiB in JSON',
      'process.Process/SendInput',
      'json',
      json({ ...selector, input: { stdin: String(data(15 * MIB).data.input.stdin) } }),
    ),
    rpc(
      'a unary input of 1 MiB in JSON over gRPC-Web',
      'process.Process/SendInput',
      'grpc-web+json',
      enveloped(json({ ...selector, input: data(700_000).data.input })),
    ),
  ]
}

function zippedEnvelopes(count: number): Buffer {
  const one = enveloped(gzipSync(Buffer.from([0x1a, 0x00])))
  one[0] = 1
  return Buffer.alloc(one.length * count, one)
}

function lists(): HeavyRequest[] {
  const objects = Buffer.from(`{"x":[${'{},'.repeat(340_000)}{}]}`)
  const nested = Buffer.from('{"x":'.repeat(200_000))
  return [
    rpc('a million unknown objects', 'process.Process/List', 'json', objects),
    rpc('unknown objects over gRPC-Web', 'process.Process/List', 'grpc-web+json', enveloped(objects)),
    rpc('unknown objects within each other', 'process.Process/List', 'json', nested),
    rpc('half a million unknown fields', 'process.Process/List', 'proto', Buffer.alloc(MIB, Buffer.from([0x28, 1]))),
    rpc(
      'half a million unknown fields over gRPC-Web',
      'process.Process/List',
      'grpc-web+proto',
      enveloped(Buffer.alloc(MIB, Buffer.from([0x28, 1]))),
    ),
    rpc('a path of a mebibyte', 'filesystem.Filesystem/Stat', 'json', json({ path: 'x/'.repeat(MIB / 2 - 100) })),
    rpc(
      'a path of parents',
      'filesystem.Filesystem/ListDir',
      'json',
      json({ path: `/${'../'.repeat(MIB / 3 - 100)}` }),
    ),
    rpc(
      'a number of a mebibyte',
      'filesystem.Filesystem/ListDir',
      'json',
      Buffer.from(`{"path":"/tmp","depth":1${'0'.repeat(MIB - 100)}}`),
    ),
    rpc('a pattern list', 'filesystem.Filesystem/CreateWatcher', 'json', json({ path: '/tmp' }), {
      'watch-exclude': Array(700).fill('**/*a*b*c').join(',').slice(0, 2000),
    }),
    rpc(
      'members of gzip by the thousand',
      'process.Process/List',
      'json',
      Buffer.concat([gzipSync('{}'), ...Array(40_000).fill(gzipSync(' '))]),
      { 'content-encoding': 'gzip' },
    ),
    rpc(
      'empty members of gzip by the thousand',
      'process.Process/List',
      'json',
      Buffer.concat(Array(50_000).fill(gzipSync(''))),
      { 'content-encoding': 'gzip' },
    ),
  ]
}

function routes(directory: string): HeavyRequest[] {
  const form = { 'content-type': 'multipart/form-data; boundary=b' }
  const octets = { 'content-type': 'application/octet-stream' }
  const part = (headers: string) => `--b\r\nContent-Disposition: form-data; name="x"\r\n${headers}\r\nx\r\n`
  const file = `${directory}/f`
  const sources = (count: number) =>
    json({ destination: file, source_paths: Array.from({ length: count }, (_, i) => `${directory}/s${i}`) })
  const metadata = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`x-metadata-k${i}`, 'v'.repeat(100)]))
  return [
    {
      name: '20,000 parts that are no files',
      path: '/files',
      headers: form,
      body: `${part('').repeat(20_000)}--b--\r\n`,
    },
    {
      name: '50,000 boundaries without a head',
      path: '/files',
      headers: form,
      body: `${'--b\r\n\r\n\r\n'.repeat(50_000)}--b--\r\n`,
    },
    {
      name: 'beginnings of boundaries',
      path: '/files',
      headers: form,
      body: `${part('')}${'\r\n--'.repeat(2_000_000)}`,
    },
    {
      name: 'a part with 100,000 headers',
      path: '/files',
      headers: form,
      body: `${part('a: b\r\n'.repeat(100_000))}--b--\r\n`,
    },
    {
      name: 'a preamble of 6 MiB',
      path: '/files',
      headers: form,
      body: Buffer.concat([TEXT_6, Buffer.from(part(''))]),
    },
    {
      name: 'members of gzip by the thousand as a file',
      path: `/files?path=${file}`,
      headers: { ...octets, 'content-encoding': 'gzip' },
      body: Buffer.concat(Array(100_000).fill(gzipSync('x'))),
    },
    {
      name: 'empty members of gzip as a file',
      path: `/files?path=${file}`,
      headers: { ...octets, 'content-encoding': 'gzip' },
      body: Buffer.concat(Array(100_000).fill(gzipSync(''))),
    },
    {
      name: 'an upload with 900 headers of metadata',
      path: `/files?path=${file}`,
      headers: { ...octets, ...metadata },
      body: 'x',
    },
    {
      name: 'a join of 20,000 sources that are not there',
      path: '/files/compose',
      headers: { 'content-type': 'application/json' },
      body: sources(20_000),
    },
  ]
}

/** Headers as long as they may be, of all that is parsed. */
function longHeaders(directory: string): HeavyRequest[] {
  const long = (item: string) => item.repeat(Math.floor(100_000 / item.length))
  const values = {
    'accept-encoding': long(', gzip;q=0.1'),
    range: `bytes=${long('0-0,')}`,
    'if-none-match': long('"x", '),
    'if-match': long('W/"'),
    'if-modified-since': long(' '),
    authorization: `Basic ${long('A')}`,
    origin: `http://${long('a.')}`,
    cookie: long('a=b;'),
    'x-access-token': long('x'),
    'watch-exclude': long('**/'),
    'connect-timeout-ms': long('1'),
    'grpc-timeout': long('1'),
    'user-agent': long('e2b-js-sdk/'),
    'content-encoding': long('gzip,'),
    'content-type': `multipart/form-data${long(';a="\\"')}`,
    'access-control-request-headers': long('a,'),
  }
  return Object.entries(values).flatMap(([header, value]) => [
    {
      name: `${header} for a file`,
      path: `/files?path=${directory}/f`,
      body: 'x',
      headers: { 'content-type': 'application/octet-stream', [header]: value },
    },
    rpc(`${header} for a call`, 'process.Process/List', 'json', Buffer.from('{}'), { [header]: value }),
  ])
}

/** All of them, with files below a directory that exists. */
export function heavyRequests(directory: string): HeavyRequest[] {
  return [...lists(), ...longHeaders(directory), ...starts(), ...inputs(), ...routes(directory), ...heavyInits()]
}
