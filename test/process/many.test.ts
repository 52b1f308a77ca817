import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { close, openPipe, setNonBlocking } from '../../src/native/index.ts'
import { InputQueue } from '../../src/process/input-queue.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'
import { growth, LINEAR_FACTOR } from '../_util/growth.ts'

const byte = Buffer.from('x')

test('ten times as many waiting inputs are given up in about ten times the time', async () => {
  const factor = await growth({ small: 2_000, large: 20_000 }, async (count) => {
    const [readEnd, writeEnd] = openPipe()
    setNonBlocking(writeEnd)
    const queue = new InputQueue(writeEnd, 'stdin')
    const full = queue.write(Buffer.alloc(1024 * 1024), { signal: NEVER }).catch(() => {})
    const callers = Array.from({ length: count }, () => new AbortController())
    const writes = callers.map((caller) => queue.write(byte, caller).catch(() => 'given up'))
    // The last ones first: a queue that is looked through meets them at its end.
    for (const caller of callers.reverse()) caller.abort(new Error('given up'))
    expect(new Set(await Promise.all(writes))).toEqual(new Set(['given up']))
    queue.destroy()
    await full
    close(readEnd)
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})

test('ten times as many readers take a chunk each in about ten times the time, the slow ones first', async () => {
  const factor = await growth({ small: 1_000, large: 10_000 }, (count) => {
    const pool = new SlabPool()
    const log = new OutputLog({ share: new OutputWindow(32 * 1024 * 1024).share(), pool, stall: 60_000 })
    // A signal each: to add a listener to one walks over all that it has.
    const readers = Array.from({ length: count }, () => log.reader(new AbortController().signal))
    let flowed = 0
    // As the pump does.
    log.onFlow = () => {
      if (!log.full) flowed++
    }
    for (let chunk = 0; chunk < 32; chunk++) {
      const slab = pool.withRoom(undefined)
      log.append('stdout', slab.memory, slab)
    }
    for (const reader of readers.toReversed()) for (let chunk = 0; chunk < 17; chunk++) reader.take(() => {})
    expect(flowed).toBeGreaterThan(count)
    for (const reader of readers) reader.close()
    log.close()
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})
