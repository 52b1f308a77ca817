import { createHash } from 'node:crypto'
import { randomBytes, stirRandom } from './index.ts'

/**
 * A version 4 UUID (RFC 9562, 5.4). Clones of one snapshot never make the same, as its bytes are the kernel's. Those of
 * node:crypto come from a generator in the process's own memory, which every clone continues alike.
 */
export function randomUuid(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Bytes at the start of a message that are stirred in: room for what tells sandboxes apart, and hashed in 0.1 ms. */
const MAX_SEED = 64 * 1024

/**
 * Lets the kernel's random numbers depend on bytes that no other clone was given; commands get theirs from there. As root it takes
 * effect at once, else within a minute. Best effort: what a kernel refuses is left as it was. The bytes cannot be found out
 * afterwards. Takes some 20 µs.
 */
export function stir(message: Uint8Array): void {
  const seed = createHash('sha256').update(message.subarray(0, MAX_SEED)).digest()
  try {
    stirRandom(seed, 0, seed.length)
  } catch {}
}
