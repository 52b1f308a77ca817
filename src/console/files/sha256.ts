/**
 * SHA-256 (FIPS 180-4) of some hundred bytes. The browser's own is absent on pages that came by plain HTTP from another
 * host than localhost, and links must work there, too.
 */
export function sha256(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((message.length + 9) / 64) * 64)
  padded.set(message)
  padded[message.length] = 0x80
  const view = new DataView(padded.buffer)
  view.setBigUint64(padded.length - 8, BigInt(message.length) * 8n)
  const state = new Uint32Array(START)
  for (let at = 0; at < padded.length; at += 64) compress(state, view, at)
  const digest = new Uint8Array(32)
  for (const [index, word] of state.entries()) new DataView(digest.buffer).setUint32(index * 4, word)
  return digest
}

const PRIMES = firstPrimes(64)
/** The first 32 bits of the fractions of square and cube roots of the first primes (FIPS 180-4 4.2.2, 5.3.3). */
const START = PRIMES.slice(0, 8).map((prime) => rootBits(prime, 2n))
const ROUNDS = PRIMES.map((prime) => rootBits(prime, 3n))

function compress(state: Uint32Array, block: DataView, at: number): void {
  const words = new Uint32Array(64)
  for (let i = 0; i < 16; i++) words[i] = block.getUint32(at + i * 4)
  const word = (index: number) => words[index] ?? 0
  for (let i = 16; i < 64; i++) {
    const low = rotate(word(i - 15), 7) ^ rotate(word(i - 15), 18) ^ (word(i - 15) >>> 3)
    const high = rotate(word(i - 2), 17) ^ rotate(word(i - 2), 19) ^ (word(i - 2) >>> 10)
    words[i] = word(i - 16) + low + word(i - 7) + high
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let i = 0; i < 64; i++) {
    const high = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
    const first = h + high + ((e & f) ^ (~e & g)) + (ROUNDS[i] ?? 0) + word(i)
    const low = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
    const second = low + ((a & b) ^ (a & c) ^ (b & c))
    ;[h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0]
  }
  for (const [index, value] of [a, b, c, d, e, f, g, h].entries()) state[index] = (state[index] ?? 0) + value
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits))
}

function firstPrimes(count: number): bigint[] {
  const primes: bigint[] = []
  for (let candidate = 2n; primes.length < count; candidate++)
    if (primes.every((prime) => candidate % prime !== 0n)) primes.push(candidate)
  return primes
}

/** The first 32 bits behind the point of a root, from the root of the number times a power of two. */
function rootBits(number: bigint, degree: bigint): number {
  const wanted = number << (32n * degree)
  let low = 0n
  let high = 1n << 40n
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (middle ** degree <= wanted) low = middle
    else high = middle
  }
  return Number(low & 0xffffffffn)
}
