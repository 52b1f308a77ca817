import { loadAddon } from './load.ts'

/** The functions of the addon for moves to another filesystem. All reject with `code` and `syscall`. */
interface MoveCallsAddon {
  makeDirectory(path: Uint8Array): Promise<Buffer>
  renamePath(from: Uint8Array, to: Uint8Array): Promise<unknown>
  copyFacts(from: number, to: number): Promise<unknown>
  copyLink(from: Uint8Array, to: Uint8Array): Promise<unknown>
}

// As those of native/file-calls.ts: what hangs holds up no other work.
const addon = loadAddon<MoveCallsAddon>()

/**
 * Makes a directory that only the daemon may enter and opens it; resolves with the descriptor, which the caller closes,
 * in four bytes, little-endian. Rejects with ESTALE where another directory has taken its place, which is left alone.
 */
export const makeDirectory = addon.makeDirectory
/** rename(2). */
export const renamePath = addon.renamePath
/** Gives an open file or directory owner, attributes, mode and times of another one. */
export const copyFacts = addon.copyFacts
/** Makes a link like another one, with its owner and times. */
export const copyLink = addon.copyLink
