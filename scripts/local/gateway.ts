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
import { addressOf } from './port-address.ts'
import type { Sandbox } from './sandbox.ts'
import type { Sandboxes } from './sandboxes.ts'

/** The port that clients know the daemon by. */
const DAEMON_PORT = 49983

/** Where daemons listen. */
const LOOPBACK = '127.0.0.1'

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
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const route = routeOf(request, sandboxes)
    const refusal = (await wake(route, sandboxes)) ?? refusalOf(route, request)
    if (refusal !== undefined) return refuse(response, route, refusal)
    const address = route.port === DAEMON_PORT ? LOOPBACK : await addressOf(route.port).catch(() => undefined)
    if (address === undefined) return refuse(response, route, CLOSED_PORT)
    const unreachable = () => (sandboxes.find(route.id) === undefined ? NOT_FOUND : CLOSED_PORT)
    if (!response.destroyed) forward({ request, response, route, agent, address, unreachable })
  }
  const listener: RequestListener = (request, response) => void answer(request, response)
  // Only the daemon asks for the token.
  const isProtected = (request: IncomingMessage) => {
    const { sandbox, port } = routeOf(request, sandboxes)
    return port === DAEMON_PORT && sandbox?.token !== undefined
  }
  const server = createServer(refuseForeignPages(listener, { ...guardOptions(allowed), isProtected }))
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

/**
 * By its headers, else by its host `<port>-<id>.<domain>`, else by the token that it shows, or the signature of its
 * link.
 */
function routeOf(request: IncomingMessage, sandboxes: Sandboxes): Route {
  const { 'e2b-sandbox-id': named, 'e2b-sandbox-port': port, 'x-access-token': token, host = '' } = request.headers
  const [, hostPort, hostId] = /^(\d+)-([a-z0-9]+)[.-]/.exec(host) ?? []
  const id = String(named ?? hostId ?? '')
  const shown = typeof token === 'string' ? sandboxes.findByToken(token) : undefined
  const sandbox = id === '' ? (shown ?? signerOf(request, sandboxes)) : sandboxes.find(id)
  return { sandbox, id: sandbox?.id ?? id, port: Number(port ?? hostPort ?? DAEMON_PORT) }
}

/** A signed link names no sandbox, but only one sandbox's token gives its signature. */
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

// SDKs read `was not found` and `port is not open` (contract K30).
const NOT_FOUND: Refusal = { code: 502, message: 'The sandbox was not found' }
const CLOSED_PORT: Refusal = { code: 502, message: 'The sandbox is running but port is not open' }
const RESERVED: Refusal = {
  code: 404,
  message: 'This endpoint is reserved for the E2B control plane and is not reachable through the sandbox URL',
}

/** Resumes a paused sandbox that wants it. */
async function wake({ sandbox }: Route, sandboxes: Sandboxes): Promise<Refusal | undefined> {
  if (sandbox?.state !== 'paused' || !sandbox.request.autoResume) return undefined
  try {
    await sandboxes.connect(sandbox, sandbox.request.timeout)
    return undefined
  } catch (error) {
    return { code: 502, message: `The sandbox could not be resumed: ${String(error)}` }
  }
}

function refusalOf({ sandbox, port }: Route, { url = '' }: IncomingMessage): Refusal | undefined {
  if (sandbox === undefined || sandbox.state === 'paused') return NOT_FOUND
  const path = posix.normalize(decodeURIComponentOrText(url.split('?', 1)[0] ?? ''))
  return port === DAEMON_PORT && CONTROL_PATHS.has(path) ? RESERVED : undefined
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
  /** Of the server. */
  readonly address: string
  /** Why it does not answer. */
  readonly unreachable: () => Refusal
}

/** The port of the server that a request is for. */
function portOf({ sandbox, port }: Route): number {
  return port === DAEMON_PORT ? (sandbox?.daemon?.port ?? 0) : port
}

function forward({ request, response, route, agent, address: host, unreachable }: Exchange): void {
  const { method, headers, url: path } = request
  const outgoing = send({ host, port: portOf(route), method, path, headers, agent, setHost: false })
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
    response.flushHeaders()
    answer.pipe(response)
    // A sandbox that dies in the middle of an answer must not look like the end of it.
    answer.on('error', () => response.destroy())
  })
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy()
    else refuse(response, route, unreachable())
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
