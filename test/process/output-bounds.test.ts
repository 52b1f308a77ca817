import { expect, test } from 'vitest'
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

test('a window of tiny chunks is bounded by their number as well', () => {
  const log = createLog()
  for (let i = 0; i < 100_000; i++) append(log, 'x', 1)
  let kept = 0
  for (let seq = 0; seq < 100_000; seq++) if (log.at(seq) !== 'gone') kept++
  expect(kept).toBeLessThanOrEqual((4 * MIB) / 256)
})
