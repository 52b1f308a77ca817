import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { duplicate } from '../../src/native/index.ts'

/** Two connected sockets, and a descriptor of the first, which the caller closes. */
export async function socketPair(directory: string) {
  const path = join(directory, 'socket')
  const server = createServer().listen(path)
  await once(server, 'listening')
  const accepted: Promise<[Socket]> = once(server, 'connection') as Promise<[Socket]>
  const client = connect(path)
  const [peer] = await accepted
  // Node gives no other way to the number.
  const { fd } = (client as unknown as { _handle: { fd: number } })._handle
  server.close()
  return { client, peer, socket: duplicate(fd) }
}
