/** Flags and length, before each message of a stream. */
export const ENVELOPE_BYTES = 5

/**
 * One envelope: flags, length, payload of `length` bytes written by `fill` at the given offset, in memory from
 * `allocate`.
 */
export function envelope(
  flags: number,
  length: number,
  fill: (frame: Buffer, offset: number) => void,
  allocate: (length: number) => Buffer = Buffer.allocUnsafe,
): Buffer {
  const frame = allocate(ENVELOPE_BYTES + length)
  frame.writeUInt8(flags, 0)
  frame.writeUInt32BE(length, 1)
  fill(frame, ENVELOPE_BYTES)
  return frame
}
