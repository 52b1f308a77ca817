import { writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { close, openPipe, setNonBlocking } from '../../src/native/index.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import { OutputSource } from '../../src/process/output-source.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'

const PIPES = 60

/** Keeps the event loop for a millisecond. */
function keepLoop(): void {
  const until = performance.now() + 1
  while (performance.now() < until);
}

/** A pipe that has a byte in it and no writer any more. */
function filledPipe(): number {
  const [reading, writing] = openPipe()
  writeSync(writing, 'x')
  close(writing)
  setNonBlocking(reading)
  return reading
}

test('of many commands that write at once one turn of the event loop reads a few, and each has its turn', async () => {
  const pool = new SlabPool()
  const window = new OutputWindow(32 * 2 ** 20)
  const reads: number[] = []
  const ended: number[] = []
  let perTurn = 0
  const sources = Array.from({ length: PIPES }, (_, index) => {
    const log = new OutputLog({ share: window.share(), pool, stall: 60_000 })
    const onData = () => {
      reads.push(index)
      perTurn++
      keepLoop()
    }
    return new OutputSource({ fd: filledPipe(), stream: 'stdout', log, pool, onData, onEnd: () => ended.push(index) })
  })
  let most = 0
  while (ended.length < PIPES) {
    perTurn = 0
    await nextTurn()
    most = Math.max(most, perTurn)
  }
  expect(most).toBeLessThan(PIPES / 4)
  // None is read twice before all have been read.
  expect([...reads].sort((a, b) => a - b)).toEqual(Array.from({ length: PIPES }, (_, index) => index))
  expect([...ended].sort((a, b) => a - b)).toEqual(Array.from({ length: PIPES }, (_, index) => index))
  for (const source of sources) source.close()
})
