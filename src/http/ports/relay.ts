import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { freeNow } from '../../budget/memory.ts'
import { CLOSED } from '../../errors.ts'
import { moveInTurns } from '../../lib/move-in-turns.ts'
import { loopTurns } from '../../lib/turns.ts'
import type { Log } from '../../log.ts'
import { discardRest } from '../server/discard-rest.ts'
import { upgradeOf } from '../server/upgrades.ts'
import { bodyHeaders, reasonPhrase, requestHeaders, responseHeaders } from './headers.ts'
import type { PortTarget } from './target.ts'
import { openTunnel } from './tunnel.ts'
import { answerOf, connectToPort, requestBy } from './upstream.ts'

/** One request that is sent on. */
interface Relay {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly target: PortTarget
  /** Answers that the port cannot be reached, as long as nothing was answered, whatever of an answer was set. */
  readonly failed: (message: string) => void
  readonly log: Log
}

/** Milliseconds without a byte in either direction: programs that keep a connection say something now and then. */
const IDLE_MS = 900_000

/**
 * Sends a request to its port and the answer back, piece by piece as each side takes them; WebSocket too. When either
 * side leaves the other is ended. Resolves when the answer has begun, or cannot; never rejects.
 */
export async function relay({ request, response, target, failed, log }: Relay): Promise<void> {
  const left = new AbortController()
  response.once('close', () => left.abort(CLOSED))
  try {
    await loopTurns.turn(request)
    if (left.signal.aborted) return
    const socket = await connectToPort(target.port, left.signal)
    if (socket === undefined) return failed(`port is not open: nothing listens on ${target.port}`)
    if (left.signal.aborted) return void socket.destroy()
    response.once('close', () => socket.destroy())
    // Counts what is read and what is written.
    socket.setTimeout(IDLE_MS, () => socket.destroy())
    await loopTurns.turn(request)
    await exchange({ request, response, target, failed, log }, socket)
  } catch (error) {
    if (response.headersSent || response.destroyed || left.signal.aborted) return void response.destroy()
    log.debug({ port: target.port, error: String(error) }, 'a port did not answer')
    failed(`port ${target.port} did not answer as HTTP does`)
  }
}

async function exchange({ request, response, target }: Relay, socket: Socket): Promise<void> {
  const upgrade = upgradeOf(request)
  const wanted = upgrade === undefined ? bodyHeaders(request) : ['Upgrade', 'websocket']
  const headers = [...requestHeaders(request, target), ...wanted, 'Connection', upgrade ? 'Upgrade' : 'close']
  const outgoing = requestBy(socket, { method: request.method ?? 'GET', path: target.path, headers })
  const answered = answerOf(outgoing)
  sendBody(request, outgoing)
  const { response: incoming, upgraded } = await answered
  const fields = responseHeaders(incoming, target)
  if (upgraded !== undefined && upgrade !== undefined)
    return openTunnel({ upgrade, socket, head: upgraded, status: reasonPhrase(incoming), fields })
  if (upgraded !== undefined) throw new Error('the protocol was changed unasked')
  const byName = new Map<string, string[]>()
  for (const [name, value] of fields) byName.set(name, [...(byName.get(name) ?? []), value])
  for (const [name, values] of byName) response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values)
  response.statusCode = incoming.statusCode ?? 0
  if (request.httpVersionMajor === 1) response.statusMessage = reasonPhrase(incoming)
  // What waits for its first byte, as events do, has its headers at once.
  response.flushHeaders()
  response.once('finish', () => discardRest(request))
  // What ends before its end is cut off, over HTTP/2 by an error: the client must not take it for the whole answer.
  incoming.once('close', () => {
    if (!incoming.readableEnded) response.destroy(new Error('the port has left'))
  })
  moveInTurns(incoming, response, freeNow)
}

/** A port may answer before it has read the body, and need not read it at all: only the answer counts. */
function sendBody(request: IncomingMessage, outgoing: ClientRequest): void {
  if (upgradeOf(request) !== undefined) return void outgoing.end()
  // Whose body comes late is not kept from being answered.
  outgoing.flushHeaders()
  moveInTurns(request, outgoing, freeNow)
}
