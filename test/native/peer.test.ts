import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { descriptorOf } from '../../src/lib/descriptor.ts'
import { askPeer, close, openPipe, receivedSegments } from '../../src/native/index.ts'
import { needsNamespace } from '../_util/namespace.ts'

interface Pair extends Disposable {
  readonly near: Socket
  readonly far: Socket
  readonly fd: number
}

async function connectedPair(): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true })
  const [far] = await once(server, 'connection')
  server.close()
  return {
    near,
    far,
    fd: descriptorOf(near) ?? -1,
    [Symbol.dispose]() {
      near.destroy()
      far.destroy()
    },
  }
}

test('an idle peer answers a question without a byte being read', async (context) => {
  needsNamespace(context)
  using pair = await connectedPair()
  const before = receivedSegments(pair.fd)
  askPeer(pair.fd)
  await expect.poll(() => receivedSegments(pair.fd)).toBeGreaterThan(before)
  expect([pair.near.bytesRead, pair.far.bytesRead]).toEqual([0, 0])
  pair.near.write('x')
  const [data] = await once(pair.far, 'data')
  expect(String(data)).toBe('x')
})

test('a peer that takes no more data answers too', async (context) => {
  needsNamespace(context)
  using pair = await connectedPair()
  pair.far.pause()
  const chunk = Buffer.alloc(1024 * 1024)
  while (pair.near.writableLength < 64 * chunk.length) pair.near.write(chunk)
  // Two of a row alike: the peer's window is full.
  const counts = [-1]
  await expect.poll(() => counts.at(-1) === counts[counts.push(receivedSegments(pair.fd)) - 2]).toBe(true)
  askPeer(pair.fd)
  await expect.poll(() => receivedSegments(pair.fd)).toBeGreaterThan(counts.at(-1) ?? 0)
})

test('a connection that either side has closed cannot be asked; what is no connection has no segments', async (context) => {
  needsNamespace(context)
  using pair = await connectedPair()
  pair.far.end()
  pair.near.resume()
  await once(pair.near, 'end')
  expect(() => askPeer(pair.fd)).toThrow(expect.objectContaining({ code: 'ENOTCONN' }))
  const [reading, writing] = openPipe()
  expect(() => askPeer(reading)).toThrow(expect.objectContaining({ code: 'ENOTSOCK' }))
  expect(() => receivedSegments(reading)).toThrow(expect.objectContaining({ code: 'ENOTSOCK' }))
  close(reading)
  close(writing)
})

test('asking takes a privilege, without which it gives EPERM', async (context) => {
  needsNamespace(context)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = Object(server.address())
  const fixture = fileURLToPath(new URL('fixtures/ask-peer.ts', import.meta.url))
  const ask = (uid: number) =>
    promisify(execFile)(process.execPath, [fixture, String(port)], { uid, gid: uid, env: {} })
  expect((await ask(0)).stdout).toBe('asked\n')
  expect((await ask(1000)).stdout).toBe('EPERM\n')
  server.close()
})
