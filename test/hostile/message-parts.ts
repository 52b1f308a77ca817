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

/** What requests may reach. */
export interface Place {
  /** Their paths are below it. */
  readonly directory: string
  /** Ports that requests are relayed to. */
  readonly ports: readonly [number, ...number[]]
}

/** Values of fields and parameters. */
export const TEXTS = [
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

/** Bodies that are no message, or hardly one. */
export const JUNK = ['null', '[]', '{', '{"x":', '"', '[[[[', '1e999', '\uFEFF{}', '{"a":1,"a":2}', ''] as const

/** A few bytes changed, left out or doubled; most of the time none. */
export function mutated(random: Random, bytes: Buffer): Buffer {
  if (random.chance(0.5) || bytes.length === 0) return bytes
  const copy = Buffer.from(bytes)
  for (let left = 1 + random.int(4); left > 0; left--) copy[random.int(copy.length)] = random.int(256)
  const at = random.int(copy.length)
  if (random.chance(0.2)) return copy.subarray(0, at)
  return random.chance(0.2) ? Buffer.concat([copy, copy.subarray(at)]) : copy
}

/** Some headers that any request may have, most of them wrong. */
export function oddHeaders(random: Random): Record<string, string> {
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
