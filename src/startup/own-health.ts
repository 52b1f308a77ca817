import { connect } from 'node:net'
import { ownHost } from '../lib/own-host.ts'

/** By hand: the code of Node's HTTP client, which nothing else here uses, would take 3 ms of the first calls. */
const REQUEST = 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
const HEALTHY = 'HTTP/1.1 204 '

/**
 * Asks the port that this daemon listens on for its health, as a client does. Rejects with an Error when it does not
 * answer in time, or not with 204.
 */
export function checkOwnHealth({ address, port }: { readonly address: string; readonly port: number }, waitMs: number) {
  return new Promise<void>((resolve, reject) => {
    const socket = connect({ host: ownHost(address), port, signal: AbortSignal.timeout(waitMs) })
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (text) => {
      if (answer.length < HEALTHY.length) answer += text
    })
    socket.on('end', () => {
      if (answer.startsWith(HEALTHY)) resolve()
      else reject(new Error(`/health answers ${JSON.stringify(answer.slice(0, HEALTHY.length))}`))
    })
    socket.on('error', ({ message }) => reject(new Error(`/health does not answer: ${message}`)))
    socket.write(REQUEST)
  })
}
