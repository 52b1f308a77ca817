import { describe, expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import type { OutputReader } from '../../src/process/output-reader.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'

const KIB = 1024
const pool = new SlabPool()

function createLog({ total = 32 * 1024 * KIB, stall = 60_000 } = {}): OutputLog {
  return new OutputLog({ share: new OutputWindow(total).share(), pool, stall })
}

/** Appends text as one read would. */
function append(log: OutputLog, text: string, stream: 'stdout' | 'stderr' = 'stdout'): void {
  const slab = pool.withRoom(undefined)
  const length = slab.memory.write(text, 0, 'latin1')
  log.append(stream, slab.memory.subarray(0, length), slab)
}

function takeAll(reader: OutputReader): string {
  let text = ''
  for (;;) {
    const part = reader.take(({ bytes }) => Buffer.from(bytes).toString('latin1'))
    if (part === undefined) return text
    text += part
  }
}

describe('a reader from the oldest output that is kept', () => {
  test('gets what came before it, then what comes', () => {
    const log = createLog()
    append(log, 'first ')
    append(log, 'second ', 'stderr')
    const reader = log.reader(NEVER, 'oldest')
    append(log, 'third')
    expect(takeAll(reader)).toBe('first second third')
    expect(takeAll(log.reader(NEVER, 'oldest'))).toBe('first second third')
    expect(takeAll(log.reader(NEVER))).toBe('')
  })

  test('gets the window, where more was written than is kept', () => {
    const log = createLog({ total: 64 * KIB })
    for (let i = 0; i < 100; i++) append(log, String.fromCharCode(65 + (i % 26)).repeat(8 * KIB))
    const text = takeAll(log.reader(NEVER, 'oldest'))
    expect(text.length).toBe(7 * 8 * KIB)
    expect(text.at(-1)).toBe('V')
  })

  test('holds the writer up like any single reader until it has caught up', () => {
    const log = createLog({ total: 64 * KIB })
    for (let i = 0; i < 100; i++) append(log, 'x'.repeat(8 * KIB))
    expect(log.full).toBe(false)
    const reader = log.reader(NEVER, 'oldest')
    append(log, 'y'.repeat(16 * KIB))
    expect(log.full).toBe(true)
    takeAll(reader)
    expect(log.full).toBe(false)
  })

  test('is ended when it takes nothing for too long, also if nothing new comes', async () => {
    const log = createLog({ stall: 20 })
    append(log, 'ten bytes.')
    const reader = log.reader(NEVER, 'oldest')
    await expect.poll(() => reader.signal.aborted).toBe(true)
    expect(() => takeAll(reader)).toThrow('10 bytes of output were missed')
  })

  test('shares the frames of a chunk with those who come later', () => {
    const log = createLog()
    append(log, 'one')
    log.reader(NEVER, 'oldest')
    log.reader(NEVER, 'oldest')
    expect(log.at(0)).toMatchObject({ pending: 2 })
  })
})

describe('the tail', () => {
  test('is the newest output of all streams in its order, cut at its front', () => {
    const log = createLog()
    expect(String(log.tail(10))).toBe('')
    append(log, 'abc')
    append(log, 'def', 'stderr')
    append(log, 'ghi')
    expect(String(log.tail(4))).toBe('fghi')
    expect(String(log.tail(100))).toBe('abcdefghi')
    expect(String(log.tail(0))).toBe('')
  })

  test('can be taken when the log closes, and only once', () => {
    const log = createLog()
    append(log, 'last words')
    const seen: string[] = []
    log.onClose = () => seen.push(String(log.tail(100)))
    log.close()
    log.close()
    expect(seen).toEqual(['last words'])
  })
})
