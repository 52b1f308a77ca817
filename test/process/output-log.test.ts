import { expect, onTestFinished, test, vi } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import type { OutputReader } from '../../src/process/output-reader.ts'
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

function takeAll(reader: OutputReader): string {
  let text = ''
  for (;;) {
    const part = reader.take(({ bytes }) => Buffer.from(bytes).toString())
    if (part === undefined) return text
    text += part
  }
}

test('D27 a reader gets everything from the time it came, and nothing from before', () => {
  const log = createLog()
  append(log, 'before')
  const reader = log.reader(NEVER)
  append(log, 'one')
  append(log, 'two')
  expect(takeAll(reader)).toBe('onetwo')
})

test('D29 without readers the log is never full and keeps no more than its window', () => {
  const log = createLog()
  for (let i = 0; i < 1000; i++) append(log, 'x', 64 * KIB)
  expect(log.full).toBe(false)
  expect(log.offset('stdout')).toBe(1000 * 64 * KIB)
  expect(log.at(0)).toBe('gone')
  expect(log.at(999)).toMatchObject({ offset: 999 * 64 * KIB })
})

test('D28 a single reader that does not read stops the reading and misses nothing', () => {
  const log = createLog()
  const reader = log.reader(NEVER)
  let appended = 0
  while (!log.full) {
    append(log, 'x', 64 * KIB)
    appended += 64 * KIB
  }
  expect(appended).toBeLessThanOrEqual(2 * MIB)
  expect(takeAll(reader).length).toBe(appended)
  expect(log.full).toBe(false)
})

test('D28 of two readers the faster sets the pace, and the other learns how many bytes it missed', () => {
  const log = createLog()
  const slow = log.reader(NEVER)
  const fast = log.reader(NEVER)
  for (let i = 0; i < 200; i++) {
    append(log, 'x', 64 * KIB)
    expect(takeAll(fast).length).toBe(64 * KIB)
    expect(log.full).toBe(false)
  }
  expect(() => takeAll(slow)).toThrow(`it fell too far behind: ${200 * 64 * KIB} bytes of output were missed`)
  expect(slow.signal.aborted).toBe(true)
  append(log, 'still here')
  expect(takeAll(fast)).toBe('still here')
})

test('D28 a reader that takes nothing for too long while output waits is ended, and the flow goes on', async () => {
  const log = createLog({ stall: 50 })
  const reader = log.reader(NEVER)
  while (!log.full) append(log, 'x', 64 * KIB)
  const flowed = new Promise<void>((resolve) => {
    log.onFlow = () => {
      if (!log.full) resolve()
    }
  })
  await flowed
  expect(() => takeAll(reader)).toThrow('it took no output for too long')
})

test('a reader that is slow but takes is not ended', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const log = createLog({ stall: 200 })
  const reader = log.reader(NEVER)
  for (let i = 0; i < 20; i++) append(log, 'x', KIB)
  for (let i = 0; i < 10; i++) {
    vi.advanceTimersByTime(199)
    expect(reader.take(({ bytes }) => bytes.length)).toBe(KIB)
  }
  expect(reader.signal.aborted).toBe(false)
  vi.advanceTimersByTime(200)
  expect(reader.signal.aborted).toBe(true)
})

test('D30 a reader sees the end after everything before it, and a late reader sees it at once', async () => {
  const log = createLog()
  const reader = log.reader(NEVER)
  append(log, 'last words')
  log.close()
  expect(await reader.readable(1000)).toBe('output')
  expect(takeAll(reader)).toBe('last words')
  expect(await reader.readable(1000)).toBe('end')
  expect(await log.reader(NEVER).readable(1000)).toBe('end')
})

test('a waiting reader wakes for output, for silence, and for its own end', async () => {
  const log = createLog()
  const controller = new AbortController()
  const reader = log.reader(controller.signal)
  expect(await reader.readable(5)).toBe('quiet')
  const waiting = reader.readable(60_000)
  append(log, 'x')
  expect(await waiting).toBe('output')
  takeAll(reader)
  const ended = reader.readable(60_000)
  controller.abort(new Error('the client left'))
  await expect(ended).rejects.toThrow('the client left')
})

test('the memory of recent output is shared between processes and given back', () => {
  const window = new OutputWindow(32 * MIB)
  const shares = Array.from({ length: 500 }, () => window.share())
  expect(shares[0]?.bytes).toBe(Math.floor((32 * MIB) / 500))
  for (const share of shares.slice(1)) share.release()
  expect(shares[0]?.bytes).toBe(4 * MIB)
  shares[1]?.release()
  expect(shares[0]?.bytes).toBe(4 * MIB)
})

test('a chunk is encoded once for all readers', () => {
  const log = createLog()
  const readers = [log.reader(NEVER), log.reader(NEVER), log.reader(NEVER)]
  append(log, 'x')
  const pending = readers.map((reader) => reader.take((chunk) => chunk.pending))
  expect(pending).toEqual([2, 1, 0])
})
