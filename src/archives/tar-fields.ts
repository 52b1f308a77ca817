import { AppError } from '../errors.ts'

/** Bytes of a block, of which archives consist. */
export const BLOCK_BYTES = 512

/** The error of an archive that is not one, or is damaged. */
export function badArchive(problem: string): AppError {
  return new AppError('invalid_argument', `error reading archive: ${problem}`)
}

/**
 * A number of a header block: octal digits between spaces and zeros, or the two's complement of GNU tar with the top
 * bit set. Nothing is 0. Throws AppError for anything else, and for what has no exact number.
 */
export function numberField(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0
  if (first >= 0x80) return base256(block, at, length)
  let index = at
  const end = at + length
  while (index < end && block[index] === SPACE) index++
  let value = 0
  for (; index < end; index++) {
    const digit = (block[index] ?? 0) - ZERO
    if (digit < 0 || digit > 7) break
    value = value * 8 + digit
  }
  if (index < end && block[index] !== SPACE && block[index] !== 0) throw badArchive('a header has no octal number')
  return checked(value)
}

const SPACE = 0x20
const ZERO = 0x30

function base256(block: Buffer, at: number, length: number): number {
  const negative = block[at] === 0xff
  let value = negative ? -1 : (block[at] ?? 0) & 0x7f
  for (let index = at + 1; index < at + length; index++) value = value * 256 + (block[index] ?? 0)
  return checked(value)
}

function checked(value: number): number {
  if (!Number.isSafeInteger(value)) throw badArchive('a number is too large')
  return value
}

/** The bytes of a field up to the first zero. */
export function textField(block: Buffer, at: number, length: number): Buffer {
  const end = block.indexOf(0, at)
  return block.subarray(at, end < 0 || end > at + length ? at + length : end)
}

const CHECKSUM_AT = 148
const CHECKSUM_BYTES = 8

/** Whether the sum of a header is the one that it states; old writers add signed bytes. */
export function hasChecksum(block: Buffer): boolean {
  let unsigned = CHECKSUM_BYTES * SPACE
  let high = 0
  for (let index = 0; index < BLOCK_BYTES; index++) {
    if (index === CHECKSUM_AT) index += CHECKSUM_BYTES
    const byte = block[index] ?? 0
    unsigned += byte
    high += byte >> 7
  }
  const stated = numberField(block, CHECKSUM_AT, CHECKSUM_BYTES)
  return stated === unsigned || stated === unsigned - 256 * high
}
