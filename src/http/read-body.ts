import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'

/**
 * Reads a whole request body into memory. Rejects with AppError `invalid_argument` beyond `limit` bytes, and with
 * `unavailable` when the client leaves in the middle.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  return new Promise((resolve, reject) => {
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= limit) {
        chunks.push(chunk)
        return
      }
      chunks.length = 0
      reject(new AppError('invalid_argument', `the body is larger than ${limit} bytes`))
    })
    request.on('end', () => resolve(Buffer.concat(chunks)))
    const leave = () => reject(new AppError('unavailable', 'the client is gone'))
    request.on('error', leave).on('close', leave)
  })
}
