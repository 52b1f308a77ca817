import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { OutputLog, type StreamName } from '../../src/process/output-log.ts'
import type { OutputReader } from '../../src/process/output-reader.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SlabPool } from '../../src/process/slab-pool.ts'

const KIB = 1024
const MIB = 1024 * KIB
const pool = new SlabPool()
const START = { stdout: 0, stderr: 0, pty: 0 }

function createLog(window = new OutputWindow(32 * MIB)): OutputLog {
  return new OutputLog({ share: window.share(), pool, stall: 60_000 })
}

function append(log: OutputLog, text: string, stream: StreamName = 'stdout'): void {
  const slab = pool.withRoom(undefined)
  const length = slab.memory.write(text, 0, 'latin1')
  log.append(stream, slab.memory.subarray(0, length), slab)
}

function takeAll(reader: OutputReader): string[] {
  const taken: string[] = []
  for (;;) {
    const part = reader.take(({ stream, offset, bytes }) => `${stream} ${offset} ${Buffer.from(bytes).toString()}`)
    if (part === undefined) return taken
    taken.push(part)
  }
}

test('N23 a closed log answers from any position that it keeps, as often as asked, in few chunks', () => {
  const log = createLog()
  for (const text of ['ab', 'cd', 'ef']) append(log, text)
  append(log, '12', 'stderr')
  append(log, 'gh')
  log.close()
  expect(takeAll(log.reader(NEVER, START))).toEqual(['stdout 0 abcdef', 'stderr 0 12', 'stdout 6 gh'])
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 5, stderr: 2 }))).toEqual(['stdout 5 f', 'stdout 6 gh'])
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 8, stderr: 1 }))).toEqual(['stderr 1 2'])
  expect(takeAll(log.reader(NEVER))).toEqual([])
})

test('N23 output that was left out in between is a gap in the offsets, before and after the end', () => {
  const log = createLog()
  append(log, 'ab')
  log.skip('stdout', 100)
  append(log, 'cd')
  const expected = ['stdout 1 b', 'stdout 102 cd']
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 1 }))).toEqual(expected)
  log.close()
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 1 }))).toEqual(expected)
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 50 }))).toEqual(['stdout 102 cd'])
  expect(takeAll(log.reader(NEVER, { ...START, stdout: 103 }))).toEqual(['stdout 103 d'])
})

test('N22 positions before and behind what is kept are refused, stream by stream', () => {
  const log = createLog(new OutputWindow(16 * KIB))
  for (let i = 0; i < 10; i++) append(log, 'x'.repeat(4 * KIB))
  append(log, 'e', 'stderr')
  const from =
    (stdout: number, stderr = 0) =>
    () =>
      takeAll(log.reader(NEVER, { ...START, stdout, stderr })).length
  expect(from(28 * KIB - 1)).toThrow('stdout is kept from offset 28672 on, offset 28671 has left the window')
  expect(from(28 * KIB)()).toBe(4)
  expect(from(40 * KIB, 1)()).toBe(0)
  expect(from(40 * KIB + 1)).toThrow('stdout has 40960 bytes, offset 40961 is beyond them')
  expect(from(2 ** 64)).toThrow('stdout has 40960 bytes, the offset is beyond them')
  expect(from(40 * KIB, 2)).toThrow('stderr has 1 bytes, offset 2 is beyond them')
})

test('output of ended processes takes a quarter of the memory, the oldest leaves first, and what runs has the rest', () => {
  const window = new OutputWindow(MIB)
  const logs = Array.from({ length: 20 }, () => {
    const log = createLog(window)
    for (let i = 0; i < 32; i++) append(log, 'x'.repeat(KIB))
    log.close()
    return log
  })
  const kept = logs.map((log) => log.tail(MIB).length)
  expect(kept.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(MIB / 4)
  expect(kept.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => 0))
  expect(kept.slice(-7)).toEqual(Array.from({ length: 7 }, () => 32 * KIB))
  const running = window.share()
  expect(running.bytes).toBeGreaterThanOrEqual((MIB * 3) / 4)
  for (const log of logs) log.discard()
  expect(running.bytes).toBe(MIB)
  expect(logs.map((log) => log.tail(MIB).length)).toEqual(logs.map(() => 0))
})

test('a reader of an ended process does not keep its output from being dropped: it is ended', () => {
  const window = new OutputWindow(64 * KIB)
  const log = createLog(window)
  append(log, 'x'.repeat(8 * KIB))
  log.close()
  const reader = log.reader(NEVER, START)
  const other = createLog(window)
  append(other, 'y'.repeat(16 * KIB))
  other.close()
  expect(() => takeAll(reader)).toThrow('8192 bytes of output were missed')
})

test('one byte of output keeps no slab', () => {
  const own = new SlabPool()
  const log = new OutputLog({ share: new OutputWindow(MIB).share(), pool: own, stall: 60_000 })
  const slab = own.withRoom(undefined)
  slab.memory.write('x')
  log.append('stdout', slab.memory.subarray(0, 1), slab)
  log.close()
  expect(own.withRoom(undefined)).toBe(slab)
  slab.memory.write('y')
  expect(takeAll(log.reader(NEVER, START))).toEqual(['stdout 0 x'])
})
