import type { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { setReceiveBuffer } from '../../native/index.ts'

/** The kernel takes twice as much; a thousand pieces of a byte, which take some 3 ms. */
const SMALL_BYTES = 4096

/** Afterwards; the kernel takes less where it allows less (net.core.rmem_max). */
const USUAL_BYTES = 1024 * 1024

const SMALL_MS = 10_000

const small = new WeakSet<Socket>()

/**
 * For a while few bytes of a connection are read at once: what Node reads it also parses, in one go, which may be ten
 * thousand pieces of a body. The client sends no faster than that is read.
 */
export function readLittleOf(socket: Socket | undefined): void {
  if (socket === undefined || small.has(socket)) return
  small.add(socket)
  setBuffer(socket, SMALL_BYTES)
  setTimeout(() => {
    small.delete(socket)
    setBuffer(socket, USUAL_BYTES)
  }, SMALL_MS).unref()
}

function setBuffer(socket: Socket, bytes: number): void {
  const descriptor = descriptorOf(socket)
  try {
    if (descriptor !== undefined) setReceiveBuffer(descriptor, bytes)
  } catch {
    // Not TCP: it goes on as it is.
  }
}
