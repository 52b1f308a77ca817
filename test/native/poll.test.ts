import { execFile } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { close, duplicate, openPipe, openTerminal, poll, read, setNonBlocking, write } from '../../src/native/index.ts'
import { ready } from './run-process.ts'

const byte = Buffer.alloc(1)

test('a poll calls again and again until what is ready has been taken, and not after stop', async () => {
  const [reading, writing] = openPipe()
  const onReady = vi.fn()
  const watch = poll(reading, false, onReady)
  watch.start()
  expect(onReady).not.toHaveBeenCalled()
  write(writing, byte, 0, 1)
  await expect.poll(() => onReady.mock.calls.length).toBeGreaterThan(2)
  watch.stop()
  const calls = onReady.mock.calls.length
  const [other, signal] = openPipe()
  write(signal, byte, 0, 1)
  await ready(other)
  expect(onReady).toHaveBeenCalledTimes(calls)
  watch.start()
  await expect.poll(() => onReady.mock.calls.length).toBeGreaterThan(calls)
  watch.close()
  for (const fd of [reading, writing, other, signal]) close(fd)
})

test('the end of file is readiness to read', async () => {
  const [reading, writing] = openPipe()
  const end = ready(reading)
  close(writing)
  await end
  expect(read(reading, byte, 0, 1)).toBe(0)
  close(reading)
})

test('a full pipe is writable again once it was read', async () => {
  const [reading, writing] = openPipe()
  setNonBlocking(writing)
  const data = Buffer.alloc(65536)
  expect(write(writing, data, 0, data.length)).toBe(data.length)
  const onReady = vi.fn()
  const watch = poll(writing, true, onReady)
  watch.start()
  await new Promise(setImmediate)
  expect(onReady).not.toHaveBeenCalled()
  read(reading, data, 0, data.length)
  await vi.waitFor(() => expect(onReady).toHaveBeenCalled(), { timeout: 20_000 })
  watch.close()
  close(reading)
  close(writing)
})

test('the loss of the reader is readiness to write, reported until the poll is closed', async () => {
  const [reading, writing] = openPipe()
  const data = Buffer.alloc(65536)
  write(writing, data, 0, data.length)
  const onReady = vi.fn()
  const watch = poll(writing, true, onReady)
  watch.start()
  close(reading)
  await expect.poll(() => onReady.mock.calls.length).toBeGreaterThan(2)
  watch.close()
  close(writing)
})

test('a terminal can be watched for both directions through a duplicate', async () => {
  const [master, slave] = openTerminal(80, 24)
  const writer = duplicate(master)
  const inputReady = vi.fn()
  const watch = poll(master, false, inputReady)
  watch.start()
  await ready(writer, true)
  expect(inputReady).not.toHaveBeenCalled()
  write(slave, byte, 0, 1)
  await vi.waitFor(() => expect(inputReady).toHaveBeenCalled(), { timeout: 20_000 })
  watch.close()
  for (const fd of [master, slave, writer]) close(fd)
})

test('a second watch of the same descriptor is refused with EEXIST', () => {
  const [reading, writing] = openPipe()
  const onReady = vi.fn()
  const [first, second] = [poll(reading, false, onReady), poll(reading, false, onReady)]
  first.start()
  expect(() => second.start()).toThrow(expect.objectContaining({ code: 'EEXIST' }))
  expect(() => poll(reading, false, onReady)).toThrow(expect.objectContaining({ code: 'EEXIST' }))
  first.close()
  second.start()
  second.close()
  close(reading)
  close(writing)
})

test('start, stop and close may be repeated in any order', () => {
  const [reading, writing] = openPipe()
  const watch = poll(reading, false, vi.fn())
  watch.stop()
  watch.start()
  watch.start()
  watch.stop()
  watch.stop()
  watch.start()
  watch.close()
  watch.close()
  watch.start()
  watch.stop()
  close(reading)
  close(writing)
})

test('a poll that was closed says nothing of the descriptor that took its number', async () => {
  const [reading, writing] = openPipe()
  const stale = vi.fn()
  const watch = poll(reading, false, stale)
  watch.start()
  write(writing, byte, 0, 1)
  watch.close()
  close(reading)
  close(writing)
  const [again, other] = openPipe()
  expect(again).toBe(reading)
  write(other, byte, 0, 1)
  await ready(again)
  expect(stale).not.toHaveBeenCalled()
  close(again)
  close(other)
})

test('a callback may close its own poll and that of another which is ready in the same turn', async () => {
  const pipes = [openPipe(), openPipe()]
  const calls: number[] = []
  const watches = pipes.map(([reading], index) =>
    poll(reading, false, () => {
      calls.push(index)
      for (const watch of watches) watch.close()
    }),
  )
  for (const [, writing] of pipes) write(writing, byte, 0, 1)
  for (const watch of watches) watch.start()
  await expect.poll(() => calls).toHaveLength(1)
  const [reading, writing] = openPipe()
  write(writing, byte, 0, 1)
  await ready(reading)
  expect(calls).toHaveLength(1)
  for (const fd of [...pipes.flat(), reading, writing]) close(fd)
})

test('promises and ticks of a callback run before the next event', async () => {
  const [reading, writing] = openPipe()
  const order: string[] = []
  write(writing, byte, 0, 1)
  await new Promise<void>((resolve) => {
    const watch = poll(reading, false, () => {
      order.push('ready')
      process.nextTick(() => order.push('tick'))
      queueMicrotask(() => order.push('microtask'))
      if (order.length < 4) return
      watch.close()
      resolve()
    })
    watch.start()
  })
  expect(order.slice(0, 4)).toEqual(['ready', 'tick', 'microtask', 'ready'])
  close(reading)
  close(writing)
})

test('a regular file cannot be watched', async () => {
  const fd = openSync('/etc/passwd', 'r')
  expect(() => poll(fd, false, vi.fn())).toThrow(expect.objectContaining({ code: 'EPERM' }))
  closeSync(fd)
  expect(() => poll(fd, false, vi.fn())).toThrow(expect.objectContaining({ code: 'EBADF' }))
})

test('the methods refuse an object that is not a poll', () => {
  const [reading, writing] = openPipe()
  const watch = poll(reading, false, vi.fn())
  for (const method of [watch.start, watch.stop, watch.close]) {
    expect(() => method.call({ start: vi.fn(), stop: vi.fn(), close: vi.fn() })).toThrow(TypeError)
  }
  watch.close()
  close(reading)
  close(writing)
})

test('an exception in a callback is an uncaught one; open polls end with their process or worker', async () => {
  const fixture = (name: string) => promisify(execFile)(process.execPath, [join(import.meta.dirname, 'fixtures', name)])
  expect((await fixture('poll-throws.ts')).stdout).toBe('uncaught: from the callback\nuncaught: from the second\n')
  expect((await fixture('worker-ends.ts')).stdout).toBe('ended\n')
})
