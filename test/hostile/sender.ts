import { Agent, request } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { HostileRequest } from './message-parts.ts'

/** How a request ended: with this status, or with the connection. */
export type Ended = number | 'closed'

/** Sends requests over connections that it keeps. The caller closes it. */
export interface Sender {
  /** Rejects when nothing comes back within the limit. */
  send(request: HostileRequest): Promise<Ended>
  /** Sends bytes and FIN; resolves when the daemon has closed. Rejects when it has not within the limit. */
  sendRaw(bytes: Buffer): Promise<void>
  close(): void
}

/** In a path or header: the id of the upload that was made last. */
export const LAST_UPLOAD = 'LAST_UPLOAD'

/** What an answer may take. Far above what is measured, so that only one that never comes runs into it. */
const ANSWER_LIMIT_MS = 10_000
const MAX_SOCKETS = 16

/** Types of streams and archives. */
const ENDLESS = /\+|\/(x-tar|gzip|zstd|zip)/

/** Makes one for the daemon at `url`. */
export function createSender(url: string): Sender {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  let session: ClientHttp2Session | undefined
  let upload = '00000000-0000-0000-0000-000000000000'
  const located = (location: string | undefined) => {
    upload = /\/uploads\/([0-9a-f-]{36})/.exec(location ?? '')?.[1] ?? upload
  }
  const liveSession = () => {
    if (session === undefined || session.closed || session.destroyed) {
      session = connect(url)
      session.on('error', () => {})
    }
    return session
  }
  return {
    send: (made) => {
      const message = withUpload(made, upload)
      return message.http2
        ? sendHttp2(liveSession(), { message, located })
        : sendHttp1({ url, agent }, { message, located })
    },
    sendRaw: (bytes) => sendRaw(url, bytes),
    close: () => {
      agent.destroy()
      session?.destroy()
    },
  }
}

function withUpload(message: HostileRequest, upload: string): HostileRequest {
  const placed = (text: string) => text.replace(LAST_UPLOAD, upload)
  const headers = Object.entries(message.headers).map(([name, value]) => [name, placed(value)] as const)
  return { ...message, path: placed(message.path), headers: Object.fromEntries(headers) }
}

/** What a message was, short enough for an error. */
function shown({ kind, path, headers, body }: HostileRequest): string {
  return `${kind} ${path} ${JSON.stringify(headers)} ${body.toString('latin1').slice(0, 400)}`
}

/** @param held says, when there is no answer, what may have kept the message from the daemon. */
function limited<T>(
  kind: string,
  work: (resolve: (value: T) => void) => () => void,
  held: () => string = () => '',
): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = work((value) => {
      clearTimeout(limit)
      resolve(value)
    })
    const limit = setTimeout(() => {
      reject(new Error(`no answer to ${kind}${held()}`))
      giveUp()
    }, ANSWER_LIMIT_MS)
  })
}

/** The requests whose connections are taken, and how many wait for one. */
function connectionsOf({ sockets, requests }: Agent): string {
  const waiting = Object.values(requests).flat().length
  const busy = Object.values(sockets).flatMap((some) => some ?? [])
  // Node's own: the request that a socket of an agent is for.
  const paths = busy.map((socket) => ('_httpMessage' in socket ? Object(socket._httpMessage).path : 'none'))
  return `; ${waiting} requests wait for one of the connections, which are for ${JSON.stringify(paths)}`
}

interface Sent {
  readonly message: HostileRequest
  /** Takes `Location` of the answer. */
  readonly located: (location: string | undefined) => void
}

function sendHttp1({ url, agent }: { url: string; agent: Agent }, { message, located }: Sent): Promise<Ended> {
  return limited(
    shown(message),
    (resolve) => {
      const outgoing = request(url, {
        agent,
        method: message.method,
        path: message.path,
        headers: { ...message.headers, 'content-length': message.body.length },
      })
      outgoing.on('error', () => resolve('closed'))
      outgoing.on('upgrade', (_, socket) => {
        resolve(101)
        socket.destroy()
      })
      outgoing.on('response', (incoming) => {
        located(incoming.headers.location)
        resolve(incoming.statusCode ?? 0)
        incoming.on('error', () => {})
        // A stream may have no end, and a directory may be a link to all of the machine.
        if (ENDLESS.test(incoming.headers['content-type'] ?? '')) outgoing.destroy()
        else incoming.resume()
      })
      outgoing.end(message.body)
      return () => outgoing.destroy()
    },
    () => connectionsOf(agent),
  )
}

function sendHttp2(session: ClientHttp2Session, { message, located }: Sent): Promise<Ended> {
  return limited(shown(message), (resolve) => {
    const head = { ':method': message.method, ':path': message.path, ...message.headers }
    const stream = session.request(head, { endStream: message.body.length === 0 })
    stream.on('error', () => resolve('closed'))
    stream.on('close', () => resolve('closed'))
    stream.on('response', (headers) => {
      located(headers.location)
      resolve(headers[':status'] ?? 0)
      stream.close()
    })
    if (message.body.length > 0) stream.end(message.body)
    return () => stream.destroy()
  })
}

function sendRaw(url: string, bytes: Buffer): Promise<void> {
  const { hostname, port } = new URL(url)
  return limited('raw bytes', (resolve) => {
    const socket = connectSocket({ host: hostname, port: Number(port), allowHalfOpen: false })
    socket.on('error', () => resolve())
    socket.on('close', () => resolve())
    socket.resume()
    socket.end(bytes)
    return () => socket.destroy()
  })
}
