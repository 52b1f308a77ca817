import { loadAddon } from './load.ts'

interface PacketFunctions {
  socketPeer(fd: number): number
  sendPacket(fd: number, bytes: Uint8Array, descriptors: readonly number[]): number
  sendPackets(fd: number, bytes: Uint8Array, size: number): number
  receivePacket(fd: number, buffer: Uint8Array, offset: number, length: number): [number, number[], boolean]
  sealedMemory(bytes: Uint8Array): number
  sharedMemory(length: number): number
}

const addon = loadAddon<PacketFunctions>()

/**
 * The pid of the process that made a Unix socket pair (SO_PEERCRED in unix(7)), or the negative errno (ENOTSOCK,
 * EBADF). Sets close-on-exec on the descriptor.
 */
export const socketPeer = addon.socketPeer
/**
 * sendmsg(2) of one packet with at most 16 descriptors, which stay the caller's. Never blocks. The number of bytes, or
 * the negative errno (EAGAIN, EPIPE).
 */
export const sendPacket = addon.sendPacket
/**
 * The same with the packets of `size` bytes that lie in `bytes` one behind the other. How many were sent, or the
 * negative errno if that is none.
 */
export const sendPackets = addon.sendPackets
/**
 * recvmsg(2) of one packet: [bytes, descriptors, whether some of these are missing, as no more may be open]. The
 * descriptors are close-on-exec and the caller's to close. Never blocks. Instead of the bytes 0 at the end, or the
 * negative errno (EAGAIN).
 */
export const receivePacket = addon.receivePacket
/**
 * memfd_create(2) with these bytes, sealed: they cannot be changed any more. Close-on-exec; the caller closes it. Its
 * position is at the end. Throws with `code`.
 */
export const sealedMemory = addon.sealedMemory
/**
 * memfd_create(2) of that many zeros, whose size cannot be changed. Close-on-exec; the caller closes it. Throws with
 * `code`.
 */
export const sharedMemory = addon.sharedMemory
