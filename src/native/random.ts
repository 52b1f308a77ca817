import { createHash } from 'node:crypto'
import { randomBytes, reseedRandom } from './index.ts'

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

/** Bytes hashed of a message: enough to distinguish sandboxes, in 0.1 ms. */
const MAX_SEED = 64 * 1024

/**
 * Reseeds the kernel's random numbers with bytes that no other clone received; commands read theirs from there. As root
 * it takes effect at once, else within a minute. Best effort: errors are ignored. The bytes cannot be recovered
 * afterwards. Takes some 20 µs.
 */
export function reseed(message: Uint8Array): void {
  const seed = createHash('sha256').update(message.subarray(0, MAX_SEED)).digest()
  try {
    reseedRandom(seed, 0, seed.length)
  } catch {}
}
