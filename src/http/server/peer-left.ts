import type { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { peerLeft as askKernel } from '../../native/index.ts'

const ANYTHING = Buffer.alloc(0)

/**
 * Whether the client of a connection has closed it, asked of the kernel: the end of the stream may wait behind bytes
 * that have not been read yet. Takes some microseconds.
 */
export function peerLeft(socket: Socket): boolean {
  return hasLeft(descriptorOf(socket), ANYTHING) ?? socket.destroyed
}

/**
 * The same by the descriptor.
 * @param beginning what must wait to be read first, for it to count, and is then discarded; at most 64 bytes.
 * @returns undefined: there is no descriptor.
 */
export function hasLeft(descriptor: number | undefined, beginning: Uint8Array): boolean | undefined {
  if (descriptor === undefined) return undefined
  try {
    return askKernel(descriptor, beginning)
  } catch {
    // No TCP, or a kernel that does not report it: the stream will.
    return false
  }
}
