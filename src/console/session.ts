import type { Transport } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'
import { type Connection, watchConnection } from './connection.ts'

/** Who uses the page. */
export interface Credentials {
  /** Empty: none. */
  readonly token: string
  /** Whose commands and files calls are about; empty: the daemon's default user. */
  readonly user: string
}

/** What views reach the daemon by; each gets it as a property. */
export interface Session {
  /** Of the daemon, without a slash at the end. */
  readonly baseUrl: string
  readonly user: string
  /** For the generated clients: `createClient(Jobs, session.transport)`. */
  readonly transport: Transport
  /** `fetch` of a path of the daemon, which begins with a slash, with the headers that calls need. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Those headers, for what cannot use `fetch`. */
  headers(): Record<string, string>
  readonly connection: Connection
  /** The same for another user; empty: the daemon's default user. It ends with this session. */
  as(user: string): Session
  /** To be called when the daemon refuses the token: the page asks for it again. */
  onUnauthenticated(reason: string): void
  /** Ends what the session does by itself. */
  close(): void
}

const UNAUTHENTICATED = 401

/** Where the daemon is: the page lies one level below it, also behind a proxy that serves it below a path. */
export function daemonUrl(pageUrl: string): string {
  return new URL('..', pageUrl).href.replace(/\/$/, '')
}

/** Makes a session, which holds the token in memory only. The caller closes it. */
export function createSession(
  baseUrl: string,
  credentials: Credentials,
  onUnauthenticated: (reason: string) => void,
): Session {
  const connection = watchConnection(baseUrl)
  return sessionOver(connection, baseUrl, credentials, onUnauthenticated)
}

function sessionOver(
  connection: Connection,
  baseUrl: string,
  credentials: Credentials,
  onUnauthenticated: (reason: string) => void,
): Session {
  const own = headersOf(credentials)
  const call = async (input: RequestInfo | URL, init?: RequestInit) => {
    const headers = new Headers(init?.headers)
    for (const [name, value] of Object.entries(own)) headers.set(name, value)
    const response = await answerOf(fetch(input, { ...init, headers, credentials: 'same-origin' }), connection)
    if (response.status === UNAUTHENTICATED) onUnauthenticated(await reasonOf(response.clone()))
    return response
  }
  return {
    baseUrl,
    user: credentials.user,
    transport: createConnectTransport({ baseUrl, useBinaryFormat: true, fetch: call }),
    fetch: (path, init) => call(baseUrl + path, init),
    headers: () => ({ ...own }),
    connection,
    as: (user) => sessionOver(connection, baseUrl, { ...credentials, user }, onUnauthenticated),
    onUnauthenticated,
    close: connection.close,
  }
}

async function answerOf(response: Promise<Response>, connection: Connection): Promise<Response> {
  try {
    const answer = await response
    connection.report('connected')
    return answer
  } catch (error) {
    // What was aborted says nothing; what failed, perhaps not of the daemon: it is asked.
    if (!(error instanceof DOMException && error.name === 'AbortError')) void connection.check()
    throw error
  }
}

function headersOf({ token, user }: Credentials): Record<string, string> {
  return {
    ...(token === '' ? {} : { 'X-Access-Token': token }),
    ...(user === '' ? {} : { Authorization: `Basic ${base64(`${user}:`)}` }),
  }
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
}

async function reasonOf(response: Response): Promise<string> {
  const body: unknown = await response.json().catch(() => undefined)
  const known = typeof body === 'object' && body !== null && 'message' in body
  return known && typeof body.message === 'string' ? body.message : 'the daemon asks for an access token'
}
