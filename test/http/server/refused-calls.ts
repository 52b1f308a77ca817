import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import { expect } from 'vitest'

/** Sends calls over HTTP/2 that are refused at once, and the beginnings of their bodies. Disposing ends them. */
export async function refusedCalls(port: number, count: number, bytes: number) {
  const session = connect(`http://127.0.0.1:${port}`)
  const calls = Array.from({ length: count }, async () => {
    const call = session.request({ ':method': 'POST', ':path': '/none' })
    const seen: unknown[] = []
    let answered = 0
    call.on('response', ({ ':status': status }) => {
      answered = performance.now()
      seen.push(status)
    })
    call.on('end', () => seen.push('end')).resume()
    // This is how Node reports that the call was ended before the own body was.
    const ended = once(call, 'aborted')
    call.write(Buffer.alloc(bytes))
    await ended
    return { seen, code: call.rstCode, lasted: performance.now() - answered }
  })
  return { calls, [Symbol.dispose]: () => session.destroy() }
}

/** How each of them ends. */
export const ANSWERED = {
  seen: expect.arrayContaining([404]),
  code: constants.NGHTTP2_NO_ERROR,
  lasted: expect.any(Number),
}
