import type { IncomingMessage } from 'node:http'
import { readTarget } from '../app/request-target.ts'

/** A port of the sandbox that a request is for. */
export interface PortTarget {
  readonly port: number
  /** What it is sent there with: path and query. */
  readonly path: string
  /** What the client's path has in front of that, without a slash at the end; empty: nothing. */
  readonly prefix: string
  /** Path of all that is led there by the path, without a slash at the end; empty where it is not. */
  readonly home: string
  /** Led by the path, so that a browser takes what comes for a page of the daemon's origin, beside the console. */
  readonly byPath: boolean
}

/** The port of the daemon that clients send in the header when they mean the daemon, whatever its own is. */
const DAEMON_PORT = 49983

const HEADER = 'e2b-sandbox-port'

/** `/ports/N/…` is sent on without its beginning, `/absports/N/…` as it is. */
const PATH = /^\/((?:abs)?ports)\/([1-9]\d{0,4})((?:\/|\?|$).*)$/s

const MAX_PORT = 65_535

/**
 * Which port a request is for, by its path or the header `E2b-Sandbox-Port`. `daemon`: the daemon itself. `invalid`:
 * the header is no port.
 * @param ownPort where the daemon listens.
 */
export function portTarget(request: IncomingMessage, ownPort: number | undefined): PortTarget | 'daemon' | 'invalid' {
  const url = request.url ?? ''
  const sent = request.headers[HEADER]
  if (sent === undefined && !url.includes('ports/')) return 'daemon'
  const { target } = readTarget(request.method, url)
  const [, kind, digits, rest = ''] = PATH.exec(target) ?? []
  if (kind !== undefined && Number(digits) <= MAX_PORT) {
    const home = `/${kind}/${digits}`
    const own = rest.startsWith('/') ? rest : `/${rest}`
    const led = kind === 'ports' ? { path: own, prefix: home } : { path: target, prefix: '' }
    return { port: Number(digits), ...led, home, byPath: true }
  }
  if (sent === undefined) return 'daemon'
  const port = typeof sent === 'string' && /^[1-9]\d{0,4}$/.test(sent) ? Number(sent) : 0
  if (port < 1 || port > MAX_PORT) return 'invalid'
  if (port === DAEMON_PORT || port === ownPort) return 'daemon'
  return target.startsWith('/') ? { port, path: target, prefix: '', home: '', byPath: false } : 'daemon'
}

/** Whether a path is that of a port without the slash at its end, where relative links would lead elsewhere. */
export function lacksSlash(url: string): boolean {
  return /^\/(?:abs)?ports\/[1-9]\d{0,4}(\?|$)/.test(url)
}
