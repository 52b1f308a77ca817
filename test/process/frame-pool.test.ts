import { expect, test } from 'vitest'
import { FramePool } from '../../src/process/frame-pool.ts'

test('memory that was given back serves the next frame', () => {
  const pool = new FramePool()
  const first = pool.take(80_000)
  pool.give(first)
  const second = pool.take(70_000)
  expect(second).toHaveLength(70_000)
  expect(second.buffer).toBe(first.buffer)
})

test('a frame that is under way shares its memory with no other', () => {
  const pool = new FramePool()
  const frames = Array.from({ length: 100 }, () => pool.take(80_000))
  expect(new Set(frames.map(({ buffer }) => buffer)).size).toBe(100)
})

test('memory given back twice is lent once', () => {
  const pool = new FramePool()
  const frame = pool.take(80_000)
  pool.give(frame)
  pool.give(frame)
  expect(pool.take(80_000).buffer).not.toBe(pool.take(80_000).buffer)
})

test.each([8 * 1024 - 1, 200_000])('frames of %i bytes are not kept', (length) => {
  const pool = new FramePool()
  const frame = pool.take(length)
  expect(frame).toHaveLength(length)
  pool.give(frame)
  expect(pool.take(80_000).buffer).not.toBe(frame.buffer)
})

test('no more memory is kept than a few busy streams need, and the rest given back at once', () => {
  const pool = new FramePool()
  const frames = Array.from({ length: 200 }, () => pool.take(80_000))
  const lent = new Set(frames.map(({ buffer }) => buffer))
  for (const frame of frames) pool.give(frame)
  expect(frames.filter(({ length }) => length === 0)).toHaveLength(200 - 32)
  const again = Array.from({ length: 200 }, () => pool.take(80_000))
  expect(again.filter(({ buffer }) => lent.has(buffer))).toHaveLength(32)
})
