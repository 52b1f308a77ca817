import { loadAddon } from './load.ts'

interface Addon {
  acceptConnection(listening: number): number
  beginning(fd: number, buffer: Uint8Array): number
}

const addon = loadAddon<Addon>()

/**
 * Accepts a connection that waits on a listening socket (accept4(2), non-blocking, closed on exec). Returns its
 * descriptor, which the caller closes; -1: none waits, or there are no more descriptors.
 */
export const acceptConnection = addon.acceptConnection
/**
 * Copies the first bytes that wait to be read from a socket, and leaves them there (MSG_PEEK in recv(2)). Returns how
 * many, at most the length of the buffer; 0: none has come, or the connection is at its end.
 */
export const beginning = addon.beginning
