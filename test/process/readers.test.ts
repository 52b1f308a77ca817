import { createHash } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { type ProcessMessage, type Stream, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { closeStdin, connect, kill, sendInput } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'
import { residentMegabytes, stateOf, writtenBytes } from './proc.ts'

const daemon = sharedDaemon()

/** Resolves when the process has written something and then waits for a reader. */
async function blocked(pid: number): Promise<number> {
  let written = 0
  const stuck = async () => {
    const before = written
    written = await writtenBytes(pid)
    return written > 100_000 && written === before && (await stateOf(pid)) === 'S'
  }
  await vi.waitUntil(stuck, { interval: 200, timeout: 20_000 })
  return written
}

/** Reads to the end; the size and the hash of all output. */
async function digest(stream: Stream<ProcessMessage>) {
  const hash = createHash('sha256')
  let size = 0
  const { messages, end } = await stream.rest()
  for (const message of messages) {
    const data = dataOf(message)
    size += data.length
    hash.update(data)
  }
  return { size, hash: hash.digest('hex'), last: messages.at(-1)?.event.end, end }
}

describe.concurrent('readers', () => {
  test('D27 every subscriber gets every byte from the time it came, and nothing from before', async () => {
    const first = await start(daemon.url, 'cat')
    const pid = await startedPid(first)
    await sendInput(daemon.url, { pid }, { stdin: 'early\n' })
    await outputUntil(first, 'early\n')
    const others = await Promise.all([false, true, false].map((http2) => connect(daemon.url, { pid }, { http2 })))
    for (const other of others) expect(await startedPid(other)).toBe(pid)
    for (let i = 0; i < 200; i++) await sendInput(daemon.url, { pid }, { stdin: `line ${i}\n` })
    await closeStdin(daemon.url, { pid })
    const expected = Array.from({ length: 200 }, (_, i) => `line ${i}\n`).join('')
    for (const stream of [first, ...others]) {
      const { messages, end } = await stream.rest()
      expect(Buffer.concat(messages.map(dataOf)).toString()).toBe(expected)
      expect(messages.at(-1)?.event.end).toEqual({ exited: true, status: 'exit status 0' })
      expect(end).toEqual({})
    }
  })

  test.each([{ http2: false }, { http2: true }])(
    'D28 a single reader that stops gets every byte when it goes on, http2: $http2',
    async ({ http2 }) => {
      const stream = await start(daemon.url, 'seq', { args: ['3000000'], http2 })
      await blocked(await startedPid(stream))
      const { size, hash, last } = await digest(stream)
      // seq 3000000 | sha256sum
      expect({ size, hash }).toEqual({
        size: 22_888_896,
        hash: 'b0f20b2d7be53740654dabcab7f8c7a4e66a26ceda2196c04cef696640988492',
      })
      expect(last).toMatchObject({ status: 'exit status 0' })
    },
  )

  test('D28 a single reader that takes its time gets every byte', async () => {
    const stream = await start(daemon.url, 'seq', { args: ['300000'] })
    const pid = await startedPid(stream)
    let text = ''
    for (let i = 0; i < 5; i++) {
      text += dataOf(await stream.next()).toString()
      await blocked(pid).catch(() => {})
    }
    const { messages } = await stream.rest()
    text += Buffer.concat(messages.map(dataOf)).toString()
    expect(text).toBe(Array.from({ length: 300_000 }, (_, i) => `${i + 1}\n`).join(''))
  })

  test('D21 when the only reader goes away, a blocked process runs on', async () => {
    const stream = await start(daemon.url, 'yes')
    const pid = await startedPid(stream)
    const written = await blocked(pid)
    stream.close()
    await vi.waitUntil(async () => (await writtenBytes(pid)) > written + 50_000_000, { timeout: 20_000 })
    await kill(daemon.url, { pid })
  })

  test('D30 who comes when the process is over gets its end', async () => {
    const stream = await start(daemon.url, 'true')
    const pid = await startedPid(stream)
    await stream.rest()
    const { messages } = await (await connect(daemon.url, { pid })).rest()
    expect(messages.map(({ event }) => Object.keys(event).join())).toEqual(['start', 'end'])
  })
})

/** The number of bytes that the error of a stream says were missed. */
function missed(message: string | undefined): number {
  return Number(/: (\d+) bytes of output were missed$/.exec(message ?? '')?.[1])
}

/** Reads until `bytes` have come; the longest wait for a piece of them, in milliseconds. */
async function longestWait(stream: Stream<ProcessMessage>, bytes: number): Promise<number> {
  let longest = 0
  let last = performance.now()
  for (let size = 0; size < bytes; ) {
    size += dataOf(await stream.next()).length
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }
  return longest
}

test('D28 of two readers a stopped one never delays the other, and learns what it missed', { retry: 2 }, async () => {
  await using own = await startDaemon()
  const args = ['-c', 'for i in $(seq 150); do head -c 200000 /dev/zero; sleep 0.01; done; sleep 300']
  const stopped = await start(own.url, '/bin/sh', { args })
  const pid = await startedPid(stopped)
  const reading = await connect(own.url, { pid })
  await startedPid(reading)
  // What a busy machine delays is seen by a lonely reader as well.
  const lonely = await start(own.url, '/bin/sh', { args })
  const lonelyPid = await startedPid(lonely)
  const [wait, usual] = await Promise.all([longestWait(reading, 29_000_000), longestWait(lonely, 29_000_000)])
  expect(wait).toBeLessThan(Math.max(100, 2 * usual))
  const { messages, end } = await stopped.rest()
  const received = messages.reduce((sum, message) => sum + dataOf(message).length, 0)
  expect(end.error?.code).toBe('resource_exhausted')
  expect(received).toBeGreaterThan(0)
  expect(missed(end.error?.message)).toBeGreaterThan(0)
  expect(received + missed(end.error?.message)).toBeLessThanOrEqual(30_000_000)
  for (const each of [pid, lonelyPid]) await kill(own.url, { pid: each })
  expect((await reading.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
  await lonely.rest()
})

test('D28 a single reader that takes nothing for too long is told so, and the process runs on', async () => {
  await using own = await startDaemon({ args: ['-reader-stall', '1'] })
  const stopped = await start(own.url, 'yes')
  const pid = await startedPid(stopped)
  const written = await blocked(pid)
  await vi.waitUntil(async () => (await writtenBytes(pid)) > written + 50_000_000, { timeout: 20_000 })
  const { messages, end } = await stopped.rest()
  expect(end.error?.code).toBe('resource_exhausted')
  const received = messages.reduce((sum, message) => sum + dataOf(message).length, 0)
  expect(received).toBeGreaterThan(0)
  expect(missed(end.error?.message)).toBeGreaterThan(0)
  const late = await connect(own.url, { pid })
  expect(await outputUntil(late, 'y\ny\n')).toContain('y\n')
  late.close()
})

test('D29 with no reader a chatty process is never blocked and takes no memory', async () => {
  await using own = await startDaemon()
  // The reader leaves before there is anything to read.
  const stream = await start(own.url, '/bin/sh', { args: ['-c', 'read line; exec yes'] })
  const pid = await startedPid(stream)
  stream.close()
  await sendInput(own.url, { pid }, { stdin: 'go\n' })
  const ticks = 20
  let written = await writtenBytes(pid)
  await vi.waitUntil(async () => (await writtenBytes(pid)) - written > 100_000_000, { timeout: 20_000 })
  const before = await residentMegabytes(own.pid)
  let slowest = Number.POSITIVE_INFINITY
  for (let tick = 0; tick < ticks; tick++) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const now = await writtenBytes(pid)
    slowest = Math.min(slowest, now - written)
    written = now
  }
  expect(slowest).toBeGreaterThan(1_000_000)
  expect((await residentMegabytes(own.pid)) - before).toBeLessThan(10)
  await kill(own.url, { pid })
})
