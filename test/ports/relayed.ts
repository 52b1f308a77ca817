import type { Socket } from 'node:net'
import { afterEach, expect } from 'vitest'
import { Forwards } from '../../src/ports/forwards.ts'
import { takeNotes } from './notes.ts'
import type { TestServer } from './sockets.ts'

/** Any address of 127.0.0.0/8 serves; this one is used by the tests of the relay alone. */
export const HERE = '127.0.21.1'

const open: Forwards[] = []

/** Forwards the port of a server until the test is over. */
export async function forward({ port }: TestServer, notes = takeNotes()): Promise<Forwards> {
  const forwards = new Forwards({ address: HERE, explicit: true }, notes)
  open.push(forwards)
  await forwards.sync([{ address: '127.0.0.1', port, onlyIpv6: undefined, uid: 0, inode: '1' }])
  expect(forwards.stateOf(port)).toEqual({ at: `${HERE}:${port}` })
  return forwards
}

afterEach(() => {
  for (const forwards of open.splice(0)) forwards.close()
})

/** All that comes, to the end. */
export async function all(socket: Socket): Promise<Buffer> {
  return Buffer.concat(await socket.toArray())
}
