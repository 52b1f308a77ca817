import { execFileSync } from 'node:child_process'
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { followOomKills } from '../../../src/metrics/kernel-log/oom-kills.ts'
import { read } from '../../../src/native/index.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const TIMES = { retry: 20, silence: 600, lasting: 60_000 }

const killed = (seq: number, name: string, priority = 3) =>
  `${priority},${seq},1,-;Out of memory: Killed process 4711 (${name}) total-vm:2048kB, anon-rss:1kB\n`

interface Pipe extends AsyncDisposable {
  readonly path: string
  /** The writing end, which is open until it is closed here. */
  readonly writer: FileHandle
}

/** A log that the test writes: reading it never waits, as of the kernel's. */
async function makePipe(): Promise<Pipe> {
  const tmp = await makeTmpDir()
  const path = `${tmp.path}/kmsg`
  execFileSync('mkfifo', [path])
  const writer = await open(path, 'r+')
  return {
    path,
    writer,
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {})
      await tmp[Symbol.asyncDispose]()
    },
  }
}

/** Records reach the follower one by one, as from the kernel. */
const oneByOne = (fd: number, buffer: Uint8Array) => {
  const one = Buffer.alloc(1)
  let length = 0
  for (;;) {
    const count = read(fd, one, 0, 1)
    if (count < 1) return length === 0 ? count : length
    buffer.set(one, length++)
    if (one[0] === 10) return length
  }
}

function follow(path: string, options: { read?: typeof read; times?: typeof TIMES } = {}) {
  const { log, lines } = recordingLog()
  const kills = followOomKills({ path, log, times: TIMES, read: oneByOne, ...options })
  return { ...kills, lines, [Symbol.asyncDispose]: kills.close }
}

test('N17 a log without kills is an empty list once it was read to its end, and later kills are added', async () => {
  await using pipe = await makePipe()
  await using kills = follow(pipe.path)
  expect(kills.list()).toBeUndefined()
  await expect.poll(kills.list).toEqual([])
  await pipe.writer.write(killed(7, 'python3'))
  await expect.poll(kills.list).toEqual([{ seq: 7, process: 'python3' }])
})

test('N17 N18 a recorded log has its kills, without what processes wrote', async () => {
  await using pipe = await makePipe()
  await pipe.writer.write(await readFile(new URL('../fixtures/kmsg.txt', import.meta.url)))
  await using kills = follow(pipe.path)
  await expect.poll(kills.list).toEqual([
    { seq: 1203, process: 'tail' },
    { seq: 1207, process: 'python3' },
  ])
})

test('N17 the last 32 are kept, oldest first', async () => {
  await using pipe = await makePipe()
  await using kills = follow(pipe.path)
  for (let seq = 0; seq < 300; seq++) await pipe.writer.write(killed(seq, 'a') + killed(seq, 'forged', 11))
  const last = Array.from({ length: 32 }, (_, index) => ({ seq: 268 + index, process: 'a' }))
  await expect.poll(kills.list).toEqual(last)
})

test('who was killed is known by its pid, from the record on, and not from older ones', async () => {
  await using pipe = await makePipe()
  await using kills = follow(pipe.path)
  expect(await kills.wasKilled(4711, -1, 0)).toBeUndefined()
  await expect.poll(kills.list).toEqual([])
  expect(kills.newest()).toBe(-1)
  const waiting = [kills.wasKilled(4711, -1, 60_000), kills.wasKilled(4712, -1, 500)]
  await pipe.writer.write(killed(7, 'forged', 11) + killed(8, 'a'))
  expect(await Promise.all(waiting)).toEqual([true, false])
  expect(kills.newest()).toBe(8)
  expect(await kills.wasKilled(4711, 7, 60_000)).toBe(true)
  expect(await kills.wasKilled(4711, 8, 0)).toBe(false)
})

test('N18 lost records and interrupted reads end nothing', async () => {
  await using pipe = await makePipe()
  const first = [-constants.errno.EPIPE, -constants.errno.EINTR]
  const interrupted: typeof read = (fd, buffer, offset, length) => first.shift() ?? read(fd, buffer, offset, length)
  await pipe.writer.write(killed(7, 'a'))
  await using kills = follow(pipe.path, { read: interrupted })
  await expect.poll(kills.list).toEqual([{ seq: 7, process: 'a' }])
  expect(first).toEqual([])
})

test('N17 N18 a log that fails is forgotten, and read again from its beginning', async () => {
  await using pipe = await makePipe()
  await pipe.writer.write(killed(7, 'a'))
  await using kills = follow(pipe.path)
  await expect.poll(kills.list).toEqual([{ seq: 7, process: 'a' }])
  // The end of file of a pipe without a writer is no record.
  await rename(pipe.path, `${pipe.path}-old`)
  await pipe.writer.close()
  await expect.poll(kills.list).toBeUndefined()
  execFileSync('mkfifo', [pipe.path])
  await using again = await open(pipe.path, 'r+')
  await again.write(killed(9, 'b'))
  await expect.poll(kills.list).toEqual([{ seq: 9, process: 'b' }])
})

test('N18 after five failures nothing is tried for the long time, then it is', async () => {
  await using tmp = await makeTmpDir()
  const path = `${tmp.path}/kmsg`
  await using kills = follow(path)
  const warnings = () => kills.lines.filter(({ level }) => level === 'warn')
  await expect.poll(warnings).toHaveLength(1)
  const since = performance.now()
  expect(warnings()).toMatchObject([{ error_code: 'ENOENT' }])
  execFileSync('mkfifo', [path])
  await using _writer = await open(path, 'r+')
  await expect.poll(kills.list).toEqual([])
  expect(performance.now() - since).toBeGreaterThan(TIMES.silence - 100)
  await rm(path)
})
