import { type HostileRequest, JUNK, mutated, oddHeaders, type Place, TEXTS } from './message-parts.ts'
import type { Random } from './random.ts'
import { LAST_UPLOAD } from './sender.ts'

/** A request that is no call of a service: makes it for a place. */
type Make = (random: Random, place: Place) => HostileRequest

const PLAIN = [
  '/health',
  '/metrics',
  '/envs',
  '/init',
  '/ready',
  '/ready?verbose',
  '/collapse',
  '/capabilities',
  '/upgrade',
  '/upgrade/status',
  '/unfreeze',
  '/port-access?port=1',
  '/port-access?port=%zz',
  '/x',
  '/',
] as const

const METHODS = ['GET', 'GET', 'POST', 'PUT', 'OPTIONS', 'DELETE', 'HEAD', 'PATCH'] as const

/** Each with a share of the requests. */
const KINDS: readonly [Make, ...Make[]] = [
  plainRequest,
  fileRequest,
  fileRequest,
  uploadRequest,
  uploadRequest,
  portRequest,
  consoleRequest,
]

/** Makes one to any URL that is no call of a service. */
export function routeRequest(random: Random, place: Place): HostileRequest {
  return random.pick(KINDS)(random, place)
}

interface Parts {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

function requestOf(random: Random, { method, path, headers = {}, body = Buffer.alloc(0) }: Parts): HostileRequest {
  return {
    kind: `${method} ${path.replace(/\?.*/s, '')}`,
    http2: random.chance(0.2),
    method,
    path,
    headers: { ...oddHeaders(random), ...headers },
    body: method === 'GET' || method === 'HEAD' ? Buffer.alloc(0) : body,
  }
}

function plainRequest(random: Random): HostileRequest {
  const headers = { 'content-type': random.pick(['application/json', 'x', 'text/plain; charset=utf-16']) }
  const body = mutated(random, Buffer.from(random.pick(['{"envVars":{"A":"b"}}', '{"timestamp":"x"}', ...JUNK])))
  return requestOf(random, { method: random.pick(METHODS), path: random.pick(PLAIN), headers, body })
}

/** The query of a file, some of it wrong. */
function fileQuery(random: Random, { directory }: Place): URLSearchParams {
  const query = new URLSearchParams()
  if (random.chance(0.7)) query.set('path', `${directory}/${random.pick(['a', 'b', 'c/d', 'c', ''])}`)
  if (random.chance(0.4)) query.set('username', random.pick(['root', 'user', '😀', '']))
  if (random.chance(0.2)) query.set(random.pick(['signature', 'signature_expiration', 'x']), random.pick(TEXTS))
  if (random.chance(0.3)) query.set('mode', random.pick(['atomic', 'create', 'overwrite', 'append', '']))
  if (random.chance(0.2)) query.set('chmod', random.pick(['600', '7777', '9', '']))
  if (random.chance(0.3)) query.set('format', random.pick(['tar', 'zip', 'tar.gz', 'tar.zst', 'x', '']))
  if (random.chance(0.1)) query.set(random.pick(['exclude', 'prefix', 'owner', 'times']), random.pick(TEXTS))
  if (random.chance(0.1)) query.set('strip', random.pick(['0', '1', '999', '-1']))
  return query
}

function fileRequest(random: Random, place: Place): HostileRequest {
  const boundary = random.pick(['b', '', 'x'.repeat(80)])
  const route = random.chance(0.8) ? '/files' : '/files/compose'
  const type = random.pick([
    'application/octet-stream',
    'application/json',
    'application/x-tar',
    'application/zip',
    `multipart/form-data; boundary=${boundary}`,
    'x',
  ])
  const headers: Record<string, string> = { 'content-type': type }
  if (random.chance(0.2)) headers['range'] = random.pick(['bytes=0-', 'bytes=-1', 'bytes=5-1', 'bytes=0-0,2-3', 'x'])
  if (random.chance(0.1)) headers['content-encoding'] = random.pick(['gzip', 'deflate', 'br', 'gzip, gzip'])
  if (random.chance(0.1)) headers[random.pick(['if-match', 'if-none-match'])] = random.pick(['*', '"x"', 'W/', ''])
  if (random.chance(0.1))
    headers[random.pick(['x-metadata-a', 'x-metadata-'])] = random.pick(['b', '%', 'x'.repeat(2000)])
  const body = fileBody(random, boundary)
  return requestOf(random, {
    method: random.pick(METHODS),
    path: `${route}?${fileQuery(random, place)}`,
    headers,
    body,
  })
}

function fileBody(random: Random, boundary: string): Buffer {
  const part = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${random.pick(TEXTS)}"\r\n\r\nx\r\n`
  const end = random.chance(0.8) ? `--${boundary}--\r\n` : ''
  return mutated(random, Buffer.from(random.pick([part + end, part.repeat(3) + end, '{"sources":[]}', ...JUNK])))
}

const BYTE_COUNTS = ['0', '1', '3', '4', '1000', '99999999999999999', '-1', 'x'] as const
const DIGESTS = ['sha1 AAAA', 'md5 !', 'sha256', 'x y', 'sha512 AA=='] as const

/** Of the tus protocol: to make an upload, or for the one that was made last. */
function uploadRequest(random: Random, place: Place): HostileRequest {
  const method = random.pick(['POST', 'POST', 'PATCH', 'PATCH', 'HEAD', 'DELETE', 'OPTIONS', 'GET'])
  const id = random.pick(['x', '..', '%2e%2e', '0'.repeat(36), LAST_UPLOAD, LAST_UPLOAD, LAST_UPLOAD])
  const path = method === 'POST' && random.chance(0.8) ? '/uploads' : `/uploads/${id}`
  const headers: Record<string, string> = {
    'tus-resumable': random.chance(0.9) ? '1.0.0' : random.pick(['0.2.2', '']),
    'content-type': random.chance(0.8) ? 'application/offset+octet-stream' : 'application/json',
  }
  if (random.chance(0.7)) headers['upload-length'] = random.chance(0.7) ? '4' : random.pick(BYTE_COUNTS)
  if (random.chance(0.7)) headers['upload-offset'] = random.chance(0.7) ? '0' : random.pick(BYTE_COUNTS)
  if (random.chance(0.2)) headers['upload-defer-length'] = random.pick(['1', '0', 'x'])
  if (random.chance(0.2)) headers['upload-checksum'] = random.pick(DIGESTS)
  if (random.chance(0.2))
    headers['upload-concat'] = random.pick(['partial', 'final;', `final;/uploads/${LAST_UPLOAD}`, 'final;x y', 'x'])
  if (random.chance(0.3))
    headers['upload-metadata'] = random.pick(['filename YQ==', 'filename Li4v', 'a,a', 'a b c', ',', 'filename /w=='])
  if (random.chance(0.1)) headers['x-http-method-override'] = random.pick(['PATCH', 'DELETE', 'HEAD', 'GET', ''])
  const body = Buffer.from(random.pick(['', 'x', 'abc', 'abcd']))
  const query = random.chance(0.2)
    ? fileQuery(random, place)
    : new URLSearchParams({ path: `${place.directory}/upload` })
  return requestOf(random, { method, path: `${path}?${query}`, headers, body })
}

const UPGRADE = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': 'x', 'sec-websocket-version': '13' }

/** To a port of the sandbox, by path or header; what listens there answers as it likes. */
function portRequest(random: Random, { ports }: Place): HostileRequest {
  const port = random.chance(0.8) ? random.pick(ports) : random.pick(['1', '0', '65536', '+80', '%38', '99999999'])
  const rest = random.pick(['/', '', '/a?b', '?', '/%zz', '/..', '//x', '/#f', `/${'a'.repeat(5000)}`])
  const byPath = random.chance(0.7)
  const headers: Record<string, string> = byPath ? {} : { 'e2b-sandbox-port': String(port) }
  if (random.chance(0.1)) headers['cookie'] = random.pick(['a=b', '=', ';;', 'envd_port=x', 'x'.repeat(4000)])
  if (random.chance(0.2)) headers['te'] = 'trailers'
  const http1 = random.chance(0.1) ? UPGRADE : {}
  const path = byPath ? `/${random.pick(['ports', 'absports'])}/${port}${rest}` : rest
  const body = random.bytes(random.int(64))
  const made = requestOf(random, {
    method: random.pick(METHODS),
    path: path.startsWith('/') ? path : `/${path}`,
    headers,
    body,
  })
  return made.http2 ? made : { ...made, headers: { ...made.headers, ...http1 } }
}

function consoleRequest(random: Random): HostileRequest {
  const file = random.pick([
    '',
    'index.html',
    'assets/',
    '..',
    '%2e%2e/start.cjs',
    '../start.cjs',
    'x.js',
    '%00',
    'a'.repeat(5000),
  ])
  const headers: Record<string, string> = {}
  if (random.chance(0.3)) headers['range'] = random.pick(['bytes=0-', 'bytes=-1', 'bytes=5-1', 'bytes=0-0,2-3', 'x'])
  if (random.chance(0.3)) headers['if-none-match'] = random.pick(['*', '"x"', 'W/"'])
  if (random.chance(0.3)) headers['accept'] = random.pick(['text/html', '', '*/*;q=x'])
  return requestOf(random, { method: random.pick(METHODS), path: `/console${random.pick(['/', ''])}${file}`, headers })
}
