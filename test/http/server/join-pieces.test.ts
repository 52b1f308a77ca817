import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { joinPieces } from '../../../src/http/server/join-pieces.ts'

/** A body that the test fills. */
function emptyBody(): Readable {
  const body = new Readable({ read: () => {} })
  joinPieces(body)
  return body
}

function piecesOf(body: Readable): Buffer[] {
  const pieces: Buffer[] = []
  body.on('data', (piece: Buffer) => pieces.push(piece))
  return pieces
}

test('pieces of one turn arrive as one, in order, before its end', async () => {
  const body = emptyBody()
  const pieces = piecesOf(body)
  await turn()
  for (const text of 'abc') body.push(Buffer.from(text))
  await turn()
  await turn()
  body.push(Buffer.from('d'))
  body.push(Buffer.alloc(600, 'e'))
  body.push(Buffer.from('f'))
  body.push(null)
  await once(body, 'end')
  expect(pieces.map(String)).toEqual(['abc', 'd', 'e'.repeat(600), 'f'])
})

test('a piece does not keep what came with it', async () => {
  const body = emptyBody()
  const pieces = piecesOf(body)
  const read = Buffer.alloc(65_536, 'x')
  await turn()
  for (const length of [600, 16_384, 40_000, 100]) body.push(read.subarray(0, length))
  body.push(null)
  await once(body, 'end')
  expect(pieces.map(({ length, buffer }) => [length, buffer.byteLength])).toEqual([
    [600, 600],
    [16_384, 16_384],
    // More than half of it.
    [40_000, 65_536],
    [100, 100],
  ])
})

test('a body of very many pieces goes on in turns and is whole', async () => {
  const bodies = Array.from({ length: 5 }, emptyBody)
  const pieces = bodies.map(piecesOf)
  for (let round = 0; round < 3; round++) {
    for (const body of bodies) for (let i = 0; i < 5000; i++) body.push(Buffer.from(String(i % 10)))
    expect(bodies.every((body) => !body.push(Buffer.from('x')))).toBe(true)
    await turn()
  }
  const whole = `${'0123456789'.repeat(500)}x`.repeat(3)
  await expect.poll(() => pieces.map((list) => Buffer.concat(list).length)).toEqual(bodies.map(() => whole.length))
  for (const list of pieces) {
    expect(String(Buffer.concat(list))).toBe(whole)
    expect(list.length).toBeLessThan(20)
  }
})

test('what waits to be read is no more than its bytes, and reading goes on when they are taken', async () => {
  let request: IncomingMessage | undefined
  const server = createServer((incoming, response) => {
    joinPieces(incoming)
    request = incoming
    incoming.once('end', () => response.end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const head = 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
  socket.write(`${head}${'1\r\nx\r\n'.repeat(200_000)}0\r\n\r\n`)
  await expect.poll(() => request?.readableLength ?? 0).toBeGreaterThan(0)
  let [bytes, pieces] = [0, 0]
  request?.on('data', (piece: Buffer) => {
    bytes += piece.length
    pieces++
  })
  await once(socket, 'data')
  socket.destroy()
  server.close()
  expect(bytes).toBe(200_000)
  expect(pieces).toBeLessThan(300)
})
