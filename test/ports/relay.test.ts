import { once } from 'node:events'
import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createConnections } from '../../src/ports/connections.ts'
import { openForward } from '../../src/ports/forward.ts'
import { takeNotes } from './notes.ts'
import { all, forward, HERE } from './relayed.ts'
import { connected, received, serve } from './sockets.ts'

test('G2 the answer to a request that was ended by half-close arrives whole', async () => {
  await using server = await serve(async (socket) => {
    const request = await all(socket)
    // Only after the client has said its last word.
    socket.end(Buffer.concat([Buffer.from('got '), request]))
  })
  await forward(server)
  const socket = await connected(HERE, server.port)
  socket.end('the whole request')
  expect((await all(socket)).toString()).toBe('got the whole request')
})

test('G2 a server that ends first still hears the client', async () => {
  const heard = Promise.withResolvers<string>()
  await using server = await serve((socket) => {
    socket.end('bye')
    all(socket).then((bytes) => heard.resolve(bytes.toString()), heard.reject)
  })
  await forward(server)
  const socket = await connected(HERE, server.port)
  expect((await all(socket)).toString()).toBe('bye')
  socket.end('still here')
  expect(await heard.promise).toBe('still here')
})

test('connections beyond the limit are reset, and reported once', async () => {
  await using server = await serve((socket) => socket.pipe(socket))
  const notes = takeNotes()
  const connections = createConnections(notes, 2)
  const forward = await openForward({ address: HERE, port: server.port, connections }, '127.0.0.1')
  const first = await connected(HERE, server.port)
  const second = await connected(HERE, server.port)
  for (const socket of [first, second]) {
    socket.write('hello')
    await once(socket, 'data')
  }
  for (const _ of [1, 2]) expect(await received(HERE, server.port)).toBe('')
  expect(notes.warnings).toEqual([{ fields: { limit: 2 }, message: expect.stringContaining('too many') }])
  first.end()
  await once(first, 'close')
  await expect.poll(() => accepted(server.port)).toBe('hello')
  second.destroy()
  forward.close()
})

/** What comes back of a hello. */
async function accepted(port: number): Promise<string> {
  const socket = await connected(HERE, port)
  socket.end('hello')
  return all(socket).then(String, () => '')
}

test('a connection that breaks on one side is reset on the other', async () => {
  const errors: string[] = []
  const arrived = Promise.withResolvers<Socket>()
  await using server = await serve((socket) => {
    socket.on('error', (error) => errors.push(String(Object(error).code)))
    socket.resume()
    arrived.resolve(socket)
  })
  await forward(server)
  const client = await connected(HERE, server.port)
  client.write('hello')
  await arrived.promise
  client.resetAndDestroy()
  await expect.poll(() => errors).toEqual(['ECONNRESET'])
  const second = Promise.withResolvers<Socket>()
  server.server.once('connection', (socket) => second.resolve(socket))
  const other = await connected(HERE, server.port)
  const broken = once(other, 'error')
  ;(await second.promise).resetAndDestroy()
  expect(await broken).toEqual([expect.objectContaining({ code: 'ECONNRESET' })])
})

test('G3 connections of a forward that is gone end naturally', async () => {
  await using server = await serve((socket) => socket.pipe(socket))
  const forwards = await forward(server)
  const socket = await connected(HERE, server.port)
  socket.write('one')
  await once(socket, 'data')
  await forwards.sync([])
  await expect(connected(HERE, server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  socket.end('two')
  expect((await all(socket)).toString()).toBe('two')
})

test('G6 closing ends forwards and their connections', async () => {
  await using server = await serve((socket) => socket.pipe(socket))
  const forwards = await forward(server)
  const socket = await connected(HERE, server.port)
  const broken = once(socket, 'error')
  forwards.close()
  expect(await broken).toEqual([expect.objectContaining({ code: 'ECONNRESET' })])
  await expect(connected(HERE, server.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})
