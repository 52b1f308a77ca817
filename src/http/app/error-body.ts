import type { IncomingMessage, ServerResponse } from 'node:http'
import { discardRest } from '../server/discard-rest.ts'

/** The body of every HTTP error: `{"code":<status>,"message":"…"}` and a newline, code first. */
export function errorBody(status: number, message: string): string {
  return `{"code":${status},"message":${JSON.stringify(message)}}\n`
}

/** Answers with such a body a request that no route takes, and discards what it sends still. */
export function sendErrorBody(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  message: string,
): void {
  const body = errorBody(status, message)
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
  discardRest(request)
}
