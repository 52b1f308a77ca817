import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { changeOwner, close, duplicate, openPipe, read, setNonBlocking, write } from '../../src/native/index.ts'
import { needsRoot } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const { EAGAIN, EBADF, EPIPE } = constants.errno

test('bytes written to a pipe are read from it, at the offsets given', () => {
  const [reading, writing] = openPipe()
  expect(write(writing, Buffer.from('__bytes__'), 2, 5)).toBe(5)
  const buffer = Buffer.alloc(9, '.')
  expect(read(reading, buffer, 3, 6)).toBe(5)
  expect(buffer.toString()).toBe('...bytes.')
  close(writing)
  expect(read(reading, buffer, 0, 9)).toBe(0)
  close(reading)
})

test('an empty pipe and a full pipe give EAGAIN when non-blocking, a full one after a short write', () => {
  const [reading, writing] = openPipe()
  setNonBlocking(reading)
  setNonBlocking(writing)
  const data = Buffer.alloc(1 << 20)
  expect(read(reading, data, 0, data.length)).toBe(-EAGAIN)
  expect(write(writing, data, 0, data.length)).toBe(65536)
  expect(write(writing, data, 0, data.length)).toBe(-EAGAIN)
  close(reading)
  close(writing)
})

test('a pipe without a reader gives EPIPE and no signal', () => {
  const [reading, writing] = openPipe()
  close(reading)
  expect(write(writing, Buffer.from('x'), 0, 1)).toBe(-EPIPE)
  close(writing)
})

test('both ends of a pipe, and a duplicate, are close-on-exec', () => {
  const [reading, writing] = openPipe()
  const copy = duplicate(writing)
  for (const fd of [reading, writing, copy]) {
    const flags = /^flags:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0'
    expect(Number.parseInt(flags, 8) & 0o2000000).toBe(0o2000000)
    close(fd)
  }
})

test('a closed descriptor gives EBADF, and may be closed once more', () => {
  const [reading, writing] = openPipe()
  close(reading)
  close(writing)
  const buffer = Buffer.alloc(1)
  expect(read(reading, buffer, 0, 1)).toBe(-EBADF)
  expect(write(writing, buffer, 0, 1)).toBe(-EBADF)
  const error = expect.objectContaining({ code: 'EBADF' })
  expect(() => setNonBlocking(reading)).toThrow(error)
  expect(() => duplicate(reading)).toThrow(error)
  expect(() => changeOwner(reading, 0, 0)).toThrow(error)
  expect(() => close(reading)).not.toThrow()
})

test('an owner is changed by descriptor', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir()
  const fd = openSync(join(dir.path, 'file'), 'w')
  changeOwner(fd, 12, 34)
  expect(fstatSync(fd)).toMatchObject({ uid: 12, gid: 34 })
  expect(() => changeOwner(fd, -1, 0)).toThrow(TypeError)
  expect(() => changeOwner(fd, 0, 2 ** 32 - 1)).toThrow(TypeError)
  closeSync(fd)
})

test('offset and length must lie within the buffer', () => {
  const buffer = Buffer.alloc(4)
  for (const [offset, length] of [
    [0, 5],
    [5, 0],
    [-1, 1],
    [2, 3],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
    [0, Number.POSITIVE_INFINITY],
  ] as const) {
    expect(() => read(0, buffer, offset, length)).toThrow(TypeError)
    expect(() => write(2, buffer, offset, length)).toThrow(TypeError)
  }
})
