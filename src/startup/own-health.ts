import { request } from 'node:http'
import { ownHost } from '../lib/own-host.ts'

const HEALTHY = 204

/**
 * Asks the port that this daemon listens on for its health, as a client does. Rejects with an Error when it does not
 * answer in time, or not with 204.
 */
export function checkOwnHealth({ address, port }: { readonly address: string; readonly port: number }, waitMs: number) {
  const host = ownHost(address)
  return new Promise<void>((resolve, reject) => {
    const sent = request(
      { host, port, path: '/health', agent: false, signal: AbortSignal.timeout(waitMs) },
      (answer) => {
        answer.resume()
        if (answer.statusCode === HEALTHY) resolve()
        else reject(new Error(`/health answers ${answer.statusCode}`))
      },
    )
    sent.on('error', ({ message }) => reject(new Error(`/health does not answer: ${message}`)))
    sent.end()
  })
}
