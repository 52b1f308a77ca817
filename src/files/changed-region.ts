/** What differs between two contents: all before and all behind it is the same. */
export interface Region {
  /** Bytes before it. */
  readonly prefix: number
  /** Bytes behind it. */
  readonly suffix: number
}

/** Bytes compared by one call; longer than any call costs. */
const BLOCK = 64 * 1024

/** The shortest region in which two contents differ; for the same content empty, at its end. */
export function changedRegion(before: Buffer, after: Buffer): Region {
  const shorter = Math.min(before.length, after.length)
  let prefix = 0
  while (prefix < shorter && isSame(before, after, prefix, Math.min(BLOCK, shorter - prefix)))
    prefix += Math.min(BLOCK, shorter - prefix)
  while (prefix < shorter && before[prefix] === after[prefix]) prefix++
  const longest = shorter - prefix
  const shift = after.length - before.length
  let suffix = 0
  for (let block = BLOCK; suffix < longest; suffix += block) {
    block = Math.min(BLOCK, longest - suffix)
    const start = before.length - suffix - block
    if (!before.subarray(start, start + block).equals(after.subarray(start + shift, start + shift + block))) break
  }
  while (suffix < longest && before[before.length - suffix - 1] === after[after.length - suffix - 1]) suffix++
  return { prefix, suffix }
}

function isSame(before: Buffer, after: Buffer, at: number, length: number): boolean {
  return before.subarray(at, at + length).equals(after.subarray(at, at + length))
}
