import { request } from 'node:http'

/** What is answered at 127.0.0.1 as well; no name is looked up, as a machine may not know even this one. */
const LOOPBACK_TOO: ReadonlySet<string> = new Set(['::', '0.0.0.0', 'localhost'])
const HEALTHY = 204

/**
 * Asks the port that this daemon listens on for its health, as a client does. Rejects with an Error when it does not
 * answer in time, or not with 204.
 */
export function checkOwnHealth({ address, port }: { readonly address: string; readonly port: number }, waitMs: number) {
  const host = LOOPBACK_TOO.has(address) ? '127.0.0.1' : address
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
