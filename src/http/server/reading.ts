import type { Socket } from 'node:net'

/** What Node reads a connection by; missing in its types. */
interface Handle {
  reading: boolean
  readStart(): number
  readStop(): number
}

/**
 * Leaves in the kernel what comes next, until `startReading`: Node reads 64 KiB ahead otherwise, also of a connection
 * that waits for its turn. What has been read already stays.
 */
export function stopReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (!handle) return
  handle.reading = false
  handle.readStop()
}

/** Goes on to read a connection, which it returns. */
export function startReading(socket: Socket): Socket {
  const handle = handleOf(socket)
  if (handle) {
    handle.reading = true
    handle.readStart()
  }
  return socket
}

/**
 * Leaves in the kernel what comes next, until `unpauseReading`, of a connection that Node is to go on taking for one
 * that is read: nothing it does meanwhile reads on.
 */
export function pauseReading(socket: Socket): void {
  handleOf(socket)?.readStop()
}

/** Ends `pauseReading`, unless Node has stopped reading meanwhile, or the connection is held. */
export function unpauseReading(socket: Socket): void {
  const handle = handleOf(socket)
  if (handle?.reading && !held.has(socket)) handle.readStart()
}

const held = new WeakSet<Socket>()

/** As `pauseReading`, until `releaseReading`. */
export function holdReading(socket: Socket): void {
  held.add(socket)
  pauseReading(socket)
}

/** Ends `holdReading`. */
export function releaseReading(socket: Socket): void {
  held.delete(socket)
  unpauseReading(socket)
}

function handleOf(socket: Socket): Handle | null | undefined {
  return (socket as Socket & { readonly _handle?: Handle | null })._handle
}
