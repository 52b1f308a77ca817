import type { IncomingMessage } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createWaitingBodies } from '../../../src/http/server/waiting-bodies.ts'

const PIECE = 64 * 1024

function post(length: number | 'chunked', httpVersionMajor = 1): IncomingMessage {
  const headers = length === 'chunked' ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(length) }
  const readableLength = length === 'chunked' ? PIECE : length
  return { httpVersionMajor, headers, readableLength } as unknown as IncomingMessage
}

test('the beginnings of bodies that wait are limited in sum, and what is over makes room again', () => {
  const bodies = createWaitingBodies()
  const released = Array.from({ length: (24 * 1024 * 1024) / PIECE }, () => bodies.add(post('chunked')))
  expect(released).not.toContain(undefined)
  expect(bodies.add(post(10 * PIECE))).toBeUndefined()
  expect(bodies.add(post(1))).toBeUndefined()
  expect(bodies.add(post(0))).toBeDefined()
  expect(bodies.add(post(10 * PIECE, 2))).toBeDefined()
  released[0]?.()
  expect(bodies.add(post(10 * PIECE))).toBeDefined()
  expect(bodies.add(post(1))).toBeUndefined()
})

test('a body of which nothing has come yet takes no room', async () => {
  const bodies = createWaitingBodies()
  for (let round = 0; round < 1000; round++) {
    expect(bodies.add({ ...post('chunked'), readableLength: 0 } as IncomingMessage)).toBeDefined()
    await setImmediate()
  }
})

test('small bodies can be let through always', () => {
  const bodies = createWaitingBodies(1000)
  while (bodies.add(post('chunked')) !== undefined);
  expect(bodies.add(post(1000))).toBeDefined()
  expect(bodies.add(post(1001))).toBeUndefined()
})

test('who waits for room is let on in order once a third of it is free, a few in each turn', async () => {
  const bodies = createWaitingBodies()
  const begun: number[] = []
  bodies.whenRoom(() => begun.push(-1))
  const released = Array.from({ length: 200 }, () => bodies.add(post('chunked')))
  for (let index = 0; index < 50; index++) bodies.whenRoom(() => begun.push(index))
  expect(begun).toEqual([-1])
  for (const release of released.slice(0, 71)) release?.()
  await setImmediate()
  expect(begun).toEqual([-1])
  for (const release of released.slice(71)) release?.()
  await setImmediate()
  expect(begun.length).toBeLessThan(20)
  for (let turns = 0; turns < 10; turns++) await setImmediate()
  expect(begun).toEqual([-1, ...Array(50).keys()])
})

test('requests that wait keep new connections out also without a body, and so does what comes before a request', async () => {
  const bodies = createWaitingBodies()
  const begun: string[] = []
  const released = Array.from({ length: 600 }, () => bodies.add(post(0)))
  bodies.whenRoom(() => begun.push('after requests'))
  await setImmediate()
  expect(begun).toEqual([])
  for (const release of released) release?.()
  await setImmediate()
  expect(begun).toEqual(['after requests'])
  const taken = bodies.count(9 * 1024 * 1024)
  bodies.whenRoom(() => begun.push('after a beginning'))
  await setImmediate()
  expect(begun).toHaveLength(1)
  taken()
  await setImmediate()
  expect(begun).toEqual(['after requests', 'after a beginning'])
})
