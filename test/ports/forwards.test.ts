import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import type { ListeningSocket } from '../../src/native/listening.ts'
import { Forwards } from '../../src/ports/forwards.ts'
import { takeNotes } from './notes.ts'
import { received, serve } from './sockets.ts'

const HERE = '127.0.21.2'

function listener(address: string, port: number): ListeningSocket {
  return { address, port, onlyIpv6: undefined, uid: 0, inode: address }
}

test('G5 a port of both families has one forward, which goes to the first seen and to the other when that is gone', async () => {
  const forwards = new Forwards({ address: HERE, explicit: true }, takeNotes())
  await using four = await serve((socket) => socket.end('by IPv4'))
  const six = createServer((socket) => socket.end('by IPv6')).listen({ host: '::1', port: four.port })
  await once(six, 'listening')
  const both = [listener('::1', four.port), listener('127.0.0.1', four.port)]
  await forwards.sync(both)
  expect(await received(HERE, four.port)).toBe('by IPv6')
  expect(forwards.isOwn(listener(HERE, four.port))).toBe(true)
  await forwards.sync(both.slice(1))
  expect(await received(HERE, four.port)).toBe('by IPv4')
  await forwards.sync([])
  expect(await received(HERE, four.port)).toBe('')
  six.close()
})

test('G4 a forward that could not listen is tried again, and the reason reported once', async () => {
  const notes = takeNotes()
  const forwards = new Forwards({ address: HERE, explicit: true }, notes)
  await using server = await serve((socket) => socket.end('here'))
  const taken = createServer().listen({ host: HERE, port: server.port })
  await once(taken, 'listening')
  const wanted = [listener('127.0.0.1', server.port)]
  await forwards.sync(wanted)
  await forwards.sync(wanted)
  expect(forwards.stateOf(server.port)).toEqual({ why: `${HERE}:${server.port} is in use by another listener` })
  expect(forwards.isOwn(listener(HERE, server.port))).toBe(false)
  expect(notes.warnings).toHaveLength(1)
  taken.close()
  await once(taken, 'close')
  await forwards.sync(wanted)
  expect(await received(HERE, server.port)).toBe('here')
  forwards.close()
})

test('an address that no interface has is reported once if it was asked for, and never if it was not', async () => {
  for (const explicit of [true, false]) {
    const notes = takeNotes()
    const forwards = new Forwards({ address: '203.0.113.9', explicit }, notes)
    await forwards.sync([])
    expect(notes.warnings).toHaveLength(explicit ? 1 : 0)
    await forwards.sync([listener('127.0.0.1', 3000), listener('127.0.0.1', 3001)])
    await forwards.sync([listener('127.0.0.1', 3000)])
    expect(forwards.stateOf(3000)).toEqual({ why: 'no interface has 203.0.113.9' })
    expect(notes.warnings).toHaveLength(explicit ? 1 : 0)
    forwards.close()
  }
})

test('without a forwarding address nothing is forwarded', async () => {
  const forwards = new Forwards(undefined, takeNotes())
  await forwards.sync([listener('127.0.0.1', 3000)])
  expect(forwards.stateOf(3000)).toEqual({ why: 'forwarding is off' })
})
