import type { Actor } from './files.ts'
import { loadAddon } from './load.ts'

interface LinksAddon {
  makeLink(path: Uint8Array, target: Uint8Array, actor: Actor): Promise<Buffer>
  readLink(path: Uint8Array, actor: Actor): Promise<Buffer>
}

const addon = loadAddon<LinksAddon>()

/**
 * Makes a symbolic link at a path, which must be free, for the actor. Resolves with nothing. On the thread pool.
 * Rejects with `code` (EEXIST, ENOENT without a parent) and `syscall`.
 */
export const makeLink = addon.makeLink
/**
 * What the symbolic link at a path says. On the thread pool. Rejects with `code` and `syscall`: EINVAL for what is
 * none; those in filesystems of the kernel's own are refused as links that must not be followed.
 */
export const readLink = addon.readLink
