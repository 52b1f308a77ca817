const PREFACE_BYTES = 24
const FRAME_HEADER_BYTES = 9
const LENGTH_BYTES = 3
const RST_STREAM = 3

/** How many calls the beginning of an HTTP/2 connection (RFC 9113 3.4, 4.1) resets. */
export function resetsIn(beginning: Buffer): number {
  let count = 0
  for (let at = PREFACE_BYTES; at + FRAME_HEADER_BYTES <= beginning.length; ) {
    if (beginning[at + LENGTH_BYTES] === RST_STREAM) count++
    at += FRAME_HEADER_BYTES + beginning.readUIntBE(at, LENGTH_BYTES)
  }
  return count
}
