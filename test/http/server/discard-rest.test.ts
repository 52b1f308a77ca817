import { once } from 'node:events'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { discardRest } from '../../../src/http/server/discard-rest.ts'
import { connectRaw, startFront } from '../front.ts'
import { ANSWERED, refusedCalls } from './refused-calls.ts'

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

test('a call of HTTP/2 that sends more than 8 MiB after its answer is ended without an error', async () => {
  await using front = await startFront()
  using sent = await refusedCalls(front.port, 1, 9 * 1024 * 1024)
  expect(await Promise.all(sent.calls)).toEqual([ANSWERED])
})
