import { procNetReader } from '../../src/ports/proc-net.ts'
import { MAX_SOCKETS } from '../../src/ports/read-sockets.ts'

const readSockets = procNetReader('/proc/self/net', MAX_SOCKETS)

/**
 * The address of this machine at which a server listens on a port, loopback before others. Undefined: there is none.
 */
export async function addressOf(port: number): Promise<string | undefined> {
  const addresses = (await readSockets())
    .filter((socket) => socket.port === port)
    .map((socket) => reachable(socket.address))
  return addresses.find((address) => address === '::1' || address.startsWith('127.')) ?? addresses[0]
}

/** An address that leads to a socket: that of all addresses is reached by loopback. */
function reachable(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}
