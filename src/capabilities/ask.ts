import { request } from 'node:http'
import { ownHost } from '../lib/own-host.ts'

/** A daemon answers from memory. */
const TIMEOUT_MS = 5_000

/** Larger than any answer: what else listens on the port may send anything. */
const MAX_BYTES = 1024 * 1024

/**
 * Asks the daemon that runs with the same address and port for its capabilities: only it knows what its machine let it
 * do. Rejects when none answers.
 */
export function askCapabilities({
  address,
  port,
}: {
  readonly address: string
  readonly port: number
}): Promise<string> {
  const host = ownHost(address)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const asked = request({ host, port, path: '/capabilities', signal: AbortSignal.timeout(TIMEOUT_MS) }, (response) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('error', reject)
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_BYTES) return void response.destroy(new Error('the answer is too long'))
      chunks.push(chunk)
    })
    response.on('end', () => {
      if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
      else reject(new Error(`the answer has status ${response.statusCode}`))
    })
  })
  asked.on('error', reject)
  asked.end()
  return promise
}
