import type { Random } from './random.ts'

/** A request target, as it is sent. Nothing that it may reach changes the machine. */
export interface HostileTarget {
  readonly method: string
  readonly target: string
  /** The same in origin form (RFC 9112 3.2.1); undefined where the target has none, or may be refused for its form. */
  readonly origin: string | undefined
}

const PATHS = [
  '/health',
  '/metrics',
  '/envs',
  '/ready',
  '/init',
  '/files',
  '/files/compose',
  '/collapse',
  '/process.Process/List',
  '/process.Process/Connect',
  '/process.Process/StreamInput',
  '/process.Process/Nope',
  '/filesystem.Filesystem/Stat',
  '/metrics.Metrics/Get',
  '/nope',
  '/',
] as const

const QUERIES = [
  '?',
  '?path=/no/such/file',
  '?path=%00',
  '?path=%zz',
  '?a=b&a=b',
  '?path=/a&path=/b',
  '?http://x/',
  '?q=%F0%9F%98%80',
  '??',
  '?&&=',
  '?signature_expiration=1e9',
] as const

const METHODS = ['GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'PROPFIND'] as const

type Spelling = (path: string, random: Random) => string

/** Each makes another spelling of a path. */
const SPELLINGS: readonly [Spelling, ...Spelling[]] = [
  (path) => path,
  (path) => `/${path}`,
  (path) => `${path}/`,
  (path) => `/.${path}`,
  (path) => `/x/..${path}`,
  (path) => `${path}/..`,
  (path) => `${path}/.`,
  (path) => `${path};a=b`,
  (path) => `/;${path}`,
  (path) => path.toUpperCase(),
  (path) => path.replaceAll('/', '\\'),
  (path) => path.replaceAll('/', '%2f'),
  (path) => `${path}%`,
  (path) => `${path}%zz`,
  (path) => `${path}%00`,
  (path) => `${path}%20`,
  (path) => `${path}\u00e9`,
  (path) => `${path}:80`,
  (path) => `${path}@x`,
  (path) => `${path}*`,
  (path) => `${path}${'a'.repeat(5000)}`,
  (path) => `${'/a'.repeat(2000)}${path}`,
  (path, random) => escapedAt(path, random.int(path.length)),
  (path, random) => escapedAt(path, random.int(path.length)).replace('%', '%25'),
]

function escapedAt(path: string, at: number): string {
  const code = path.charCodeAt(at).toString(16).padStart(2, '0')
  return `${path.slice(0, at)}%${code}${path.slice(at + 1)}`
}

const AUTHORITIES = ['localhost', '127.0.0.1:49983', '[::1]', '[::1]:80', 'LOCALHOST:1'] as const
const NO_AUTHORITIES = ['', 'user@localhost', 'a:b@localhost', '[', ':', '@', '%00'] as const
const SCHEMES = ['http', 'http', 'https', 'HTTP', 'hTTps'] as const
const NO_SCHEMES = ['ftp', 'file', 'ws', 'javascript', 'http+unix', 'h'] as const

/** Makes one target of any form. */
export function hostileTarget(random: Random): HostileTarget {
  const route = random.pick(PATHS)
  const path = random.chance(0.4) ? route : random.pick(SPELLINGS)(route, random)
  const method = route.includes('.') && random.chance(0.7) ? 'POST' : random.pick(METHODS)
  const whole = path + (random.chance(0.4) ? random.pick(QUERIES) : '')
  const odd = (target: string) => ({ method, target, origin: undefined })
  switch (random.int(10)) {
    case 0:
      return odd(whole.replace(/\?|$/, (query) => `#f${query}`))
    case 1:
      return odd(`${random.pick(NO_SCHEMES)}://localhost${whole}`)
    case 2:
      return odd(`${random.pick(SCHEMES)}://${random.pick(NO_AUTHORITIES)}${whole}`)
    case 3:
      return odd(
        random.pick(['*', '', 'localhost:80', 'x', '?x', '#', 'http:', 'http:/x', '//', '///', '\\', '**', '.']),
      )
    case 4:
      return { method: 'GET', target: `http://${random.pick(AUTHORITIES)}`, origin: '/' }
    case 5:
    case 6:
    case 7:
      return {
        method,
        target: `${random.pick(SCHEMES)}://${random.pick(AUTHORITIES)}${whole}`,
        origin: whole.startsWith('/') ? whole : undefined,
      }
    default:
      return { method, target: whole, origin: whole }
  }
}
