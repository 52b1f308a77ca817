import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { discardRest } from '../../../src/http/server/discard-rest.ts'
import { connectRaw, startFront } from '../front.ts'

test('the rest of a body is read to its end, and its memory given back as it comes', async () => {
  const pieces = Array.from({ length: 20 }, () => Buffer.allocUnsafeSlow(64 * 1024))
  const body = Readable.from(pieces)
  discardRest(body)
  await once(body, 'end')
  expect(pieces.map(({ length }) => length)).toEqual(pieces.map(() => 0))
})

test('of a body that goes on and on no more than the limit is read', async () => {
  let made = 0
  const body = new Readable({
    read() {
      made++
      this.push(Buffer.allocUnsafeSlow(64 * 1024))
    },
  })
  discardRest(body, 1024 * 1024)
  await once(body, 'close')
  expect(made).toBeLessThan(20)
})

test('of a body that is refused before anything of it was read, no more than 8 MiB is read', async () => {
  await using front = await startFront()
  using client = await connectRaw(front.port)
  client.write('POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n')
  await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 404 /)
  const [connection] = front.listener.connections
  if (connection === undefined) throw new Error('it is closed')
  const closed = once(connection, 'close')
  client.write(Buffer.alloc(50_000_000))
  await closed
  expect(connection.bytesRead).toBeLessThan(9 * 1024 * 1024)
})

/** Sends calls over HTTP/2 that are refused at once, and the beginnings of their bodies. Disposing ends them. */
async function refusedCalls(port: number, count: number, bytes: number) {
  const session = connectHttp2(`http://127.0.0.1:${port}`)
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

const ANSWERED = {
  seen: expect.arrayContaining([404]),
  code: constants.NGHTTP2_NO_ERROR,
  lasted: expect.any(Number),
}

test('a call of HTTP/2 that sends more than 8 MiB after its answer is ended without an error', async () => {
  await using front = await startFront()
  using sent = await refusedCalls(front.port, 1, 9 * 1024 * 1024)
  expect(await Promise.all(sent.calls)).toEqual([ANSWERED])
})

test('of answered calls of HTTP/2 whose bodies do not end 128 stay open, and those for 5 s', async () => {
  await using front = await startFront()
  const began = performance.now()
  using sent = await refusedCalls(front.port, 300, 100)
  const ended = await Promise.all(sent.calls)
  expect(ended).toEqual(sent.calls.map(() => ANSWERED))
  // On a busy machine the answers of all of them may come late: each is judged by what follows its own.
  expect(ended.filter(({ lasted }) => lasted > 2_500)).toHaveLength(128)
  expect(performance.now() - began).toBeGreaterThan(4_900)
})
