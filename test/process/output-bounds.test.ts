import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'

const KIB = 1024
const MIB = 1024 * KIB
const pool = new SlabPool()

function createLog({ window = new OutputWindow(32 * MIB), stall = 60_000 } = {}): OutputLog {
  return new OutputLog({ share: window.share(), pool, stall })
}

/** Appends `length` bytes of `fill`, as one read would. */
function append(log: OutputLog, fill: string, length = fill.length): void {
  const slab = pool.withRoom(undefined)
  slab.memory.fill(fill, 0, length)
  log.append('stdout', slab.memory.subarray(0, length), slab)
}

test('5,000 processes that write 64 KiB each keep no more than 64 MiB of it, also those that were first and say no more', () => {
  const window = new OutputWindow(32 * MIB)
  let kept = 0
  const logs = Array.from({ length: 5000 }, () => {
    const log = createLog({ window })
    for (let i = 0; i < 64; i++) append(log, 'x', 1024)
    return log
  })
  for (const log of logs) kept += log.tail(MIB).length
  expect(kept).toBeLessThan(64 * MIB)
  expect(kept).toBeGreaterThan(16 * MIB)
})

test('processes whose readers take nothing are read in sum as far as the window goes, and one piece each', () => {
  const window = new OutputWindow(32 * MIB)
  let held = 0
  for (let i = 0; i < 300; i++) {
    const log = createLog({ window })
    log.reader(NEVER)
    for (; !log.full; held += 16 * KIB) append(log, 'x', 16 * KIB)
  }
  expect(held).toBeLessThan(40 * MIB)
})

test('a reader that goes on amid others that take nothing gets everything', () => {
  const window = new OutputWindow(MIB)
  const stuck = createLog({ window })
  stuck.reader(NEVER)
  while (!stuck.full) append(stuck, 'x', 64 * KIB)
  const log = createLog({ window })
  const reader = log.reader(NEVER)
  for (let i = 0; i < 100; i++) {
    expect(log.full).toBe(false)
    append(log, 'y', 64 * KIB)
    expect(reader.take(({ bytes }) => bytes.length)).toBe(64 * KIB)
  }
})

test('a window of tiny chunks is bounded by their number as well', () => {
  const log = createLog()
  for (let i = 0; i < 100_000; i++) append(log, 'x', 1)
  let kept = 0
  for (let seq = 0; seq < 100_000; seq++) if (log.at(seq) !== 'gone') kept++
  expect(kept).toBeLessThanOrEqual((4 * MIB) / 256)
})

test('bytes in memory of their own are given back when they leave the window', () => {
  const log = createLog({ window: new OutputWindow(256 * KIB) })
  const pieces = Array.from({ length: 100 }, () => Buffer.allocUnsafeSlow(32 * KIB))
  for (const piece of pieces) log.append('stdout', piece)
  expect(pieces.filter(({ length }) => length > 0).length).toBeLessThan(8)
  expect(log.tail(MIB).length).toBeGreaterThan(128 * KIB)
})
