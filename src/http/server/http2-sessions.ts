import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import { type HttpOptions, KEEP_ALIVE_TIMEOUT } from './http1.ts'
import { createResets } from './reset-budget.ts'

/**
 * Streams that may be reset at once, and per second, before the connection has shown the token, also while none is set:
 * Node's own limits.
 */
const RESETS_WITHOUT_TOKEN = { burst: 1_000, rate: 33 }

/**
 * Of these, calls that come and are reset in one turn of the event loop: a client that abandons a call has waited for
 * its answer before.
 */
export const UNSEEN_WITHOUT_TOKEN = { burst: 100, rate: 33 }

/**
 * Whether the read that opened a stream has reset it too, and nothing is lost when it is not looked at. A token counts
 * for the connection.
 */
export function isOver(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
  return stream.closed && headers['x-access-token'] === undefined
}

/**
 * Reports the calls of a session, and ends it when it resets more of them than it may (CVE-2023-44487, "rapid reset").
 */
export function countCalls(session: ServerHttp2Session, { connections }: HttpOptions): void {
  const resets = createResets({ all: RESETS_WITHOUT_TOKEN, unseen: UNSEEN_WITHOUT_TOKEN })
  // Before the handler, which may ask for it at once; and a stream that was reset meanwhile knows its session no more.
  session.prependListener('stream', (stream, headers) => {
    // Whether it is the right one is not known yet.
    const mayReset = resets.began(headers['x-access-token'] !== undefined)
    const wasReset = () => {
      if (session.destroyed || connections.hasShownToken(session) || mayReset()) return
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
    }
    if (isOver(stream, headers)) {
      // It has no other listener or reader, and Node keeps a stream with unread bytes.
      stream.on('error', () => {}).resume()
      return wasReset()
    }
    connections.alias(stream, session)
    connections.began(session)
    endWhenReset(stream)
    stream.once('close', () => {
      connections.ended(session)
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR || stream.aborted) wasReset()
    })
  })
}

/**
 * Ends a stream that its client has reset with NO_ERROR, as clients do that close their connection. Node would wait
 * until all of the answer is written, for which there is no window any more, and does not read a connection that has
 * only such streams and is to be closed.
 */
function endWhenReset(stream: ServerHttp2Stream): void {
  // Node ends one itself of which nothing is left to be read.
  stream.once('end', () => {
    if (stream.closed) stream.destroy()
  })
}

/**
 * Ends a session that never says its settings as early as headers that never end, and one without a call as late as an
 * idle HTTP/1.1 connection; a silent call keeps it. With a timer of its own: the one that node's sessions offer goes on
 * after their end, and holds them in memory as long as it runs.
 */
export function closeWhenIdle(session: ServerHttp2Session, headersTimeout: number): void {
  let calls = 0
  let timer = setTimeout(() => session.destroy(), headersTimeout).unref()
  const rest = () => {
    clearTimeout(timer)
    if (calls === 0 && !session.destroyed) timer = setTimeout(() => session.close(), KEEP_ALIVE_TIMEOUT).unref()
  }
  session.once('remoteSettings', rest)
  session.on('stream', (stream, headers) => {
    if (isOver(stream, headers)) return
    calls++
    clearTimeout(timer)
    stream.once('close', () => {
      calls--
      rest()
    })
  })
  session.once('close', () => clearTimeout(timer))
}
