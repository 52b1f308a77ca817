import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
  request as send,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { posix } from 'node:path'
import { refuseForeignPages } from '../../src/http/access/foreign-pages.ts'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'
import { guardOptions } from './guard-options.ts'
import type { Sandbox } from './sandbox.ts'
import type { Sandboxes } from './sandboxes.ts'

/** The port that clients know the daemon by. */
const DAEMON_PORT = 49983

/** Between platform and daemon only (contract K27). */
const CONTROL_PATHS = new Set(['/collapse', '/freeze', '/fsfreeze', '/fsthaw', '/init', '/unfreeze', '/upgrade'])

/** What stands before the sandboxes: clients know it as E2B_SANDBOX_URL. */
export interface Gateway {
  /** Resolves with its URL. */
  listen(host: string, port: number): Promise<string>
  close(): void
}

interface Route {
  readonly sandbox: Sandbox | undefined
  readonly id: string
  readonly port: number
}

/**
 * Makes a gateway, which forwards each request, byte by byte as it comes, to the sandbox and port that it names.
 * @param allowed names beside loopback from which, and to which, requests without a token are let through.
 */
export function createGateway(sandboxes: Sandboxes, allowed: AllowedNames): Gateway {
  const agent = new Agent({ keepAlive: true })
  const answer: RequestListener = (request, response) => {
    const route = routeOf(request, sandboxes)
    const refusal = refusalOf(route, request)
    if (refusal !== undefined) return refuse(response, route, refusal)
    forward({ request, response, route, agent })
  }
  // Only the daemon asks for the token.
  const isProtected = (request: IncomingMessage) => {
    const { sandbox, port } = routeOf(request, sandboxes)
    return port === DAEMON_PORT && sandbox?.token !== undefined
  }
  const server = createServer(refuseForeignPages(answer, { ...guardOptions(allowed), isProtected }))
  // Streams may be silent for as long as they like.
  Object.assign(server, { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 640_000 })
  return {
    listen: async (host, port) => {
      server.listen(port, host)
      await once(server, 'listening')
      // A TCP server's address is an object.
      return `http://${host}:${(server.address() as AddressInfo).port}`
    },
    close: () => {
      server.close()
      server.closeAllConnections()
      agent.destroy()
    },
  }
}

/** By its headers, else by its host `<port>-<id>.<domain>`, else by the signature of its link. */
function routeOf(request: IncomingMessage, sandboxes: Sandboxes): Route {
  const { 'e2b-sandbox-id': named, 'e2b-sandbox-port': port, host = '' } = request.headers
  const [, hostPort, hostId] = /^(\d+)-([a-z0-9]+)[.-]/.exec(host) ?? []
  const id = String(named ?? hostId ?? '')
  const sandbox = id === '' ? signerOf(request, sandboxes) : sandboxes.find(id)
  return { sandbox, id: sandbox?.id ?? id, port: Number(port ?? hostPort ?? DAEMON_PORT) }
}

/** A signed link names nobody, but only one sandbox's token gives its signature. */
function signerOf({ url = '', method }: IncomingMessage, sandboxes: Sandboxes): Sandbox | undefined {
  const query = new URL(url, 'http://gateway').searchParams
  const signature = query.get('signature')
  if (signature === null) return undefined
  const expiration = query.get('signature_expiration')
  const claims = [query.get('path') ?? '', method === 'GET' ? 'read' : 'write', query.get('username') ?? '']
  return sandboxes.list().find(({ token }) => {
    const parts = [...claims, token, ...(expiration === null ? [] : [expiration])]
    const digest = createHash('sha256').update(parts.join(':')).digest('base64')
    return signature === `v1_${digest.replace(/=+$/, '')}`
  })
}

interface Refusal {
  readonly code: number
  readonly message: string
}

function refusalOf({ sandbox, port }: Route, { url = '' }: IncomingMessage): Refusal | undefined {
  // SDKs read `was not found` and `port is not open` (contract K30).
  if (sandbox === undefined || sandbox.state === 'paused') return { code: 502, message: 'The sandbox was not found' }
  const path = posix.normalize(decodeURIComponentOrText(url.split('?', 1)[0] ?? ''))
  if (port === DAEMON_PORT && CONTROL_PATHS.has(path))
    return { code: 404, message: `${path} is reserved for the E2B control plane` }
  return undefined
}

function refuse(response: ServerResponse, { id, port }: Route, { code, message }: Refusal): void {
  response.writeHead(code, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ sandboxId: id, port, code, message }))
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly route: Route
  readonly agent: Agent
}

function forward({ request, response, route, agent }: Exchange): void {
  const port = route.port === DAEMON_PORT ? route.sandbox?.daemon.port : route.port
  const { method, headers, url: path } = request
  const outgoing = send({ host: '127.0.0.1', port, method, path, headers, agent, setHost: false })
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    response.flushHeaders()
    answer.pipe(response)
    // A sandbox that dies in the middle of an answer must not look like the end of it.
    answer.on('error', () => response.destroy())
  })
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy()
    else refuse(response, route, { code: 502, message: 'The sandbox is running but port is not open' })
  })
  response.on('close', () => outgoing.destroy())
  request.on('error', () => outgoing.destroy())
  request.pipe(outgoing)
}

function decodeURIComponentOrText(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
