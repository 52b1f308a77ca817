import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { OutputCut, tailBytes } from '../../src/process/output-cut.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'

const MOST = 1024
const HALF = MOST / 2
/** The most that comes whole. */
const WHOLE = MOST + 64

/** Bytes that say where they are. */
function numbered(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (at * 7 + (at >> 8)) & 0xff))
}

/** What a client gets of output that comes in pieces of that size, with the offset that each chunk claims. */
function cutOutput(output: Buffer, piece: number, stream: 'stdout' | 'pty' = 'stdout') {
  const pool = new SlabPool()
  const log = new OutputLog({ share: new OutputWindow(32 * 2 ** 20).share(), pool, stall: 60_000 })
  const reader = log.reader(NEVER)
  const cut = new OutputCut({ log, pool, stream, most: MOST })
  for (let at = 0; at < output.length; at += piece) {
    const slab = pool.withRoom(undefined)
    const length = output.copy(slab.memory, 0, at, at + piece)
    slab.chunks++
    cut.append(stream, slab.memory.subarray(0, length), slab)
  }
  cut.finish()
  const chunks: { offset: number; bytes: Buffer }[] = []
  const take = () => reader.take(({ offset, bytes }) => ({ offset, bytes: Buffer.from(bytes) }))
  for (let chunk = take(); chunk !== undefined; chunk = take()) chunks.push(chunk)
  return { chunks, bytes: Buffer.concat(chunks.map((chunk) => chunk.bytes)), total: log.offset(stream) }
}

const PIECES = [1, 7, 511, 512, 513, 1000, 4096, 16_384]

test.each([0, 1, HALF, HALF + 1, MOST, WHOLE])(
  'output of %i bytes, of which nothing has to be left out, comes whole',
  (length) => {
    for (const piece of PIECES) {
      const { bytes, total } = cutOutput(numbered(length), piece)
      expect(bytes.equals(numbered(length))).toBe(true)
      expect(total).toBe(length)
    }
  },
)

test.each([WHOLE + 1, WHOLE + HALF, 5000, 100_000])(
  'of %i bytes the beginning and the end come, and how many are left out',
  (length) => {
    const output = numbered(length)
    const line = Buffer.from(`\n[${length - MOST} bytes of output left out]\n`)
    const expected = Buffer.concat([output.subarray(0, HALF), line, output.subarray(-HALF)])
    for (const piece of PIECES) {
      const { bytes, total } = cutOutput(output, piece)
      expect(bytes.equals(expected)).toBe(true)
      expect(total).toBe(length)
    }
  },
)

test('offsets of what comes are those that it has in the whole output', () => {
  const output = numbered(10_000)
  const { chunks } = cutOutput(output, 100)
  const marker = chunks.findIndex(({ bytes }) => bytes.includes('left out'))
  expect(chunks[marker]?.offset).toBe(HALF)
  for (const [index, { offset, bytes }] of chunks.entries())
    if (index !== marker) expect(bytes.equals(output.subarray(offset, offset + bytes.length))).toBe(true)
  expect(chunks.at(-1)?.offset).toBeGreaterThan(10_000 - HALF - 1)
})

test('in a terminal the line ends as lines do there', () => {
  expect(cutOutput(numbered(5000), 100, 'pty').bytes.toString('latin1')).toContain(
    '\r\n[3976 bytes of output left out]\r\n',
  )
})

test('the beginning waits for readers, what follows does not', () => {
  const pool = new SlabPool()
  const log = new OutputLog({ share: new OutputWindow(32 * 2 ** 20).share(), pool, stall: 60_000 })
  log.reader(NEVER)
  const cut = new OutputCut({ log, pool, stream: 'stdout', most: 4 * 2 ** 20 })
  cut.append('stdout', Buffer.alloc(2 ** 20))
  expect(cut.full).toBe(true)
  cut.append('stdout', Buffer.alloc(2 ** 20))
  expect(cut.full).toBe(false)
})

test('what ends take is known before', () => {
  expect(tailBytes(undefined, 2)).toBe(0)
  expect(tailBytes(MOST, 2)).toBe(2 * (HALF + 64))
})
