import { request } from 'node:http'

const ANY: ReadonlySet<string> = new Set(['::', '0.0.0.0'])
const HEALTHY = 204

/**
 * Asks the port that this daemon listens on for its health, as a client does. Rejects with an Error when it does not
 * answer in time, or not with 204.
 */
export function checkOwnHealth({ address, port }: { readonly address: string; readonly port: number }, waitMs: number) {
  const host = ANY.has(address) ? '127.0.0.1' : address
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
