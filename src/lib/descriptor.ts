import type { Socket } from 'node:net'

/** The descriptor of a socket for calls that Node has not; it stays the socket's. Undefined once the socket is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  // Node keeps the descriptor in a field that its types do not know.
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd: number } | null }
  return handle && handle.fd >= 0 ? handle.fd : undefined
}
