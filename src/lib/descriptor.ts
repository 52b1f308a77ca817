import type { Socket } from 'node:net'

/** The file descriptor of a socket, which keeps owning it. Undefined once the socket is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  // The field is missing in the types of Node.
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd: number } | null }
  return handle && handle.fd >= 0 ? handle.fd : undefined
}
