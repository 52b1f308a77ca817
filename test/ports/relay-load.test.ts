import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { all, forward, HERE } from './relayed.ts'
import { connected, serve } from './sockets.ts'

test('G2 1,000 connections at once are relayed byte for byte', async () => {
  await using server = await serve((socket) => socket.pipe(socket))
  await forward(server)
  const sockets = await Promise.all(Array.from({ length: 1000 }, () => connected(HERE, server.port)))
  const answers = await Promise.all(
    sockets.map((socket, index) => {
      socket.end(Buffer.alloc(10_000, `${index} `))
      return all(socket)
    }),
  )
  expect(answers.every((answer, index) => answer.equals(Buffer.alloc(10_000, `${index} `)))).toBe(true)
})

test('G2 a client that stops reading stops the server, and then gets every byte', async () => {
  const TOTAL = 256 * 1024 * 1024
  const piece = Buffer.alloc(1024 * 1024, 'x')
  let sent = 0
  await using server = await serve(async (socket) => {
    for (; sent < TOTAL; sent += piece.length) if (!socket.write(piece)) await once(socket, 'drain')
    socket.end()
  })
  await forward(server)
  const before = process.memoryUsage().rss
  const socket = await connected(HERE, server.port)
  socket.pause()
  await stopsGrowing(() => sent)
  // What is left lies in the buffers of the kernel.
  expect(sent).toBeLessThan(64 * 1024 * 1024)
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
  let got = 0
  for await (const chunk of socket) got += chunk.length
  expect(got).toBe(TOTAL)
})

async function stopsGrowing(figure: () => number): Promise<void> {
  for (let last = -1; last !== figure() || last === 0; await setTimeout(300)) last = figure()
}
