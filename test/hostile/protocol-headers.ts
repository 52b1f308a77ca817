import type { Random } from './random.ts'

/** Names and values, of which one may be there twice. */
export type HeaderList = readonly (readonly [name: string, value: string])[]

const TYPES = [
  'application/json',
  'application/proto',
  'application/connect+json',
  'application/connect+proto',
  'application/grpc',
  'application/grpc+json',
  'application/grpc+proto',
  'application/grpc-web',
  'application/grpc-web+json',
  'application/grpc-web+proto',
  'application/grpc-web-text',
  'application/octet-stream',
  'text/plain',
] as const

/** Each makes another spelling of a content type. */
const SPELLINGS: readonly [(type: string) => string, ...((type: string) => string)[]] = [
  (type) => type,
  (type) => type,
  (type) => type,
  (type) => type.toUpperCase(),
  (type) => `${type}; charset=utf-8`,
  (type) => `${type};charset="UTF-8"`,
  (type) => `${type}; charset=utf-16`,
  (type) => `${type};charset`,
  (type) => `${type};;;=`,
  (type) => `${type}; x=y`,
  (type) => `${type}, ${type}`,
  (type) => `${type}+x`,
  (type) => `\t${type}\t`,
  (type) => `${type}\u00e9`,
  (type) => type.slice(0, -1),
  () => '/',
  () => '',
]

/** Values that no header of numbers or names should choke on. */
const ODD = [
  '',
  '0',
  '-1',
  '1.5',
  '1e9',
  '99999999999999999999',
  'NaN',
  '\u00e9\u00ff',
  '"',
  ',',
  'x'.repeat(3000),
] as const

const VALUES: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'connect-protocol-version': ['1', '1', '2', '1, 1'],
  'connect-timeout-ms': ['1', '500', '9999999999', '2147483648', '0'],
  'grpc-timeout': ['1n', '1u', '50m', '99999999H', '99999999M', '99999999S', '0S', '1', 'H', '999999999S'],
  'content-encoding': ['gzip', 'identity', 'br', 'gzip, gzip'],
  'connect-content-encoding': ['gzip', 'identity', 'br'],
  'grpc-encoding': ['gzip', 'identity', 'br', 'deflate'],
  'accept-encoding': ['gzip', 'gzip;q=0', '*', 'identity;q=0', 'gzip;q=x'],
  'connect-accept-encoding': ['gzip', 'br,gzip', '*'],
  'grpc-accept-encoding': ['gzip', 'identity,gzip', 'br'],
  'keepalive-ping-interval': ['1', '90', '2147484', '+5', '0x10'],
  authorization: [
    'Basic',
    'Basic cm9vdDo=',
    'Basic 8J+YgDo=',
    'Basic 7aC9Og==',
    'Basic eDo=',
    'Bearer x',
    'Basic cm9vdA==',
  ],
  'x-access-token': ['x', 'secret', 'secret, secret'],
  'user-agent': ['connect-python', 'grpc-go/1.0', 'e2b-js-sdk/1.0'],
  'x-metadata-a': ['b', '%zz'],
  'x-user-agent': ['grpc-web-javascript/0.1'],
  range: ['bytes=0-', 'bytes=9-1', 'bytes=-', 'x=1-2'],
  'if-none-match': ['*', '"x"'],
  'if-modified-since': ['Thu, 01 Jan 1970 00:00:00 GMT'],
  'access-control-request-method': ['GET', 'x'],
  'access-control-request-headers': ['a, b', '\u00e9'],
  'x-http-method-override': ['DELETE'],
  te: ['trailers'],
  'trailer-x': ['y'],
}

/** Makes the headers that say how a call is spoken: a content type, and none to four others. */
export function protocolHeaders(random: Random): HeaderList {
  const headers: [string, string][] = [['content-type', random.pick(SPELLINGS)(random.pick(TYPES))]]
  const names = Object.keys(VALUES)
  for (let left = random.int(5); left > 0; left--) {
    const name = names[random.int(names.length)] ?? 'te'
    const value = () => random.pick(name === 'te' || random.chance(0.7) ? (VALUES[name] ?? ODD) : ODD)
    headers.push([name, value()])
    if (random.chance(0.1)) headers.push([name, value()])
  }
  return headers
}
