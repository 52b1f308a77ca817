import { noFileLimit } from './index.ts'

/**
 * Descriptors that one use may have: `part` of those that the daemon may have open (RLIMIT_NOFILE), at most `most`, at
 * least one. Half are for connections; forwards, their connections and requests to ports share another quarter and a
 * bit, and what is left is for commands and files.
 */
export function descriptorShare(part: number, most: number): number {
  const [descriptors] = noFileLimit()
  return Math.max(1, Math.min(most, Math.floor(descriptors * part)))
}
