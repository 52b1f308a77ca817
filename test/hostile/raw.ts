import type { Random } from './random.ts'
import { hostileTarget } from './targets.ts'

/**
 * Bytes of a connection that speaks HTTP/1.1 badly. The peer may answer or hang up; it must not wait, as each ends with
 * the client's FIN.
 */
export function rawHttp1(random: Random): Buffer {
  const line = [
    random.pick(['GET', 'POST', 'get', 'G\tT', '', 'CONNECT', 'PRI', '\x16\x03\x01']),
    hostileTarget(random).target,
    random.pick(['HTTP/1.1', 'HTTP/1.0', 'HTTP/9.9', 'HTTP/2.0', '']),
  ].join(' ')
  const headers = Array.from({ length: random.int(6) }, () => header(random))
  const end = random.pick(['\r\n', '\r\n', '\n', '\r', '\0'])
  const body = random.pick(['', 'x', '5\r\nhello\r\n0\r\n\r\n', 'zz\r\n', 'fffffffffffffffff\r\n', '0\r\nA: b\r\n\r\n'])
  const text = [line, 'Host: localhost', ...headers, '', ''].join(end) + body
  return Buffer.from(text.repeat(1 + random.int(3)), 'latin1')
}

function header(random: Random): string {
  return random.pick([
    'Content-Length: 1',
    'Content-Length: -1',
    'Content-Length: 1, 1',
    'Content-Length: 99999999999999999999',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked, chunked',
    'Transfer-Encoding: x',
    'Transfer-Encoding : chunked',
    'Content-Type: application/json',
    'Expect: 100-continue',
    'Upgrade: h2c',
    'Connection: keep-alive, upgrade',
    'Host: evil.example',
    ' folded',
    'X-Access-Token: a',
    'X\0: y',
    `X: ${'y'.repeat(random.int(3000))}`,
  ])
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** Bytes of an HTTP/2 connection: the preface, an empty SETTINGS, then frames of any type, length, flags and stream. */
export function rawHttp2(random: Random): Buffer {
  const parts = [Buffer.from(PREFACE, 'latin1'), frame({ type: 4, flags: 0, stream: 0, payload: Buffer.alloc(0) })]
  for (let left = random.int(12); left > 0; left--) {
    const payload = random.chance(0.5) ? random.bytes(random.int(40)) : HEADERS
    const stream = random.pick([0, 1, 3, 5, 2, 2 ** 31 - 1])
    parts.push(frame({ type: random.int(12), flags: random.pick([0, 1, 4, 5, 8, 255]), stream, payload }))
  }
  return Buffer.concat(parts)
}

/** HPACK (RFC 7541): GET http / by the static table, then an authority. */
const HEADERS = Buffer.from('828684410161', 'hex')

interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

function frame({ type, flags, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}
