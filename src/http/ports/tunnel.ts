import type { Socket } from 'node:net'
import { freeNow } from '../../budget/memory.ts'
import { moveInTurns } from '../../lib/move-in-turns.ts'
import type { Upgrade } from '../server/upgrades.ts'

/** Two connections that speak another protocol from now on. */
interface Tunnel {
  /** Connection of the client. */
  readonly upgrade: Upgrade
  /** Connection to the port. */
  readonly socket: Socket
  /** What came from the port after its headers. */
  readonly head: Buffer
  /** The words of its status line after 101. */
  readonly status: string
  readonly fields: readonly (readonly [name: string, value: string])[]
}

/**
 * Sends the answer of a port to the client and moves bytes both ways from then on, as fast as the slower side takes
 * them. When one side ends or fails both are ended.
 */
export function openTunnel({ upgrade, socket, head, status, fields }: Tunnel): void {
  const client = upgrade.socket
  upgrade.take()
  const lines = [...fields, ['Connection', 'Upgrade'], ['Upgrade', 'websocket']].map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  // The parser has read them as latin1.
  client.write(`HTTP/1.1 101 ${status}\r\n${lines.join('')}\r\n`, 'latin1')
  client.write(head)
  socket.write(upgrade.head)
  const end = () => {
    client.destroy()
    socket.destroy()
  }
  client.once('close', end)
  socket.once('close', end)
  moveInTurns(client, socket, freeNow)
  moveInTurns(socket, client, freeNow)
}
