import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { freeNow } from '../../src/budget/memory.ts'
import { moveInTurns } from '../../src/lib/move-in-turns.ts'

const PIECE = 64 * 1024

/** Something to move, from a source that always has more. */
function endless() {
  const pieces: Buffer[] = []
  const source = new Readable({
    highWaterMark: PIECE,
    read() {
      const piece = Buffer.allocUnsafeSlow(PIECE)
      pieces.push(piece)
      this.push(piece)
    },
  })
  return { source, pieces }
}

test('everything is moved, the end passed on, and what was written is freed', async () => {
  const pieces = Array.from({ length: 20 }, () => Buffer.allocUnsafeSlow(PIECE))
  let bytes = 0
  const target = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length
      done()
    },
  })
  moveInTurns(Readable.from(pieces, { objectMode: false }), target, freeNow)
  await once(target, 'finish')
  expect(bytes).toBe(20 * PIECE)
  await expect.poll(() => pieces.map(({ length }) => length)).toEqual(pieces.map(() => 0))
})

test('a target that takes nothing holds the source up', async () => {
  const { source, pieces } = endless()
  moveInTurns(source, new Writable({ write: () => {} }), freeNow)
  for (let turns = 0; turns < 20; turns++) await setImmediate()
  expect(pieces.length).toBeLessThan(5)
  source.destroy()
})

test('many at once leave other work its turns', async () => {
  const busy = () => {
    const end = performance.now() + 1
    while (performance.now() < end);
  }
  const sources = Array.from({ length: 200 }, () => {
    const { source } = endless()
    const write = (_chunk: Buffer, _encoding: string, done: () => void) => {
      busy()
      done()
    }
    moveInTurns(source, new Writable({ write }), freeNow)
    return source
  })
  await setImmediate()
  const began = performance.now()
  for (let turns = 0; turns < 5; turns++) await setImmediate()
  // 200 ms in each turn otherwise.
  expect(performance.now() - began).toBeLessThan(400)
  for (const source of sources) source.destroy()
})

test('a target that closes leaves the source paused', async () => {
  const { source } = endless()
  const target = new Writable({ write: () => {} })
  moveInTurns(source, target, freeNow)
  await once(source, 'data')
  target.destroy()
  await once(target, 'close')
  expect(source.isPaused()).toBe(true)
  expect(source.listenerCount('data')).toBe(0)
  source.destroy()
})
