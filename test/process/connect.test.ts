import { writeFile } from 'node:fs/promises'
import { describe, expect, test, vi } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { call, open, shell, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { closeStdin, connect, kill, list, resize, sendInput, sendSignal } from './calls.ts'
import { inParallel, outputUntil, startedPid } from './following.ts'

const daemon = sharedDaemon()

/** Larger than any pid. */
const NOBODY = 2 ** 31

test('D31 a live process gives start, data, keepalives and the end', async () => {
  const stream = await start(daemon.url, 'cat')
  const pid = await startedPid(stream)
  const follower = await connect(daemon.url, { pid }, { headers: { 'keepalive-ping-interval': '1' } })
  expect(await startedPid(follower)).toBe(pid)
  expect(await follower.next()).toEqual({ event: { keepalive: {} } })
  await sendInput(daemon.url, { pid }, { stdin: 'hello' })
  expect(await follower.next()).toEqual({
    event: { data: { stdout: Buffer.from('hello').toString('base64'), offset: '0' } },
  })
  await closeStdin(daemon.url, { pid })
  expect(await follower.next()).toEqual({ event: { end: { exited: true, status: 'exit status 0' } } })
  expect(await follower.rest()).toEqual({ messages: [], end: {} })
  await stream.rest()
})

describe('D33 D34 who does not exist', () => {
  const selectors = [
    { process: { pid: NOBODY }, text: `process with pid ${NOBODY} not found` },
    { process: { tag: 'no such tag' }, text: 'process with tag no such tag not found' },
    { process: { tag: '' }, text: 'process with tag  not found' },
  ]

  test.each(selectors)('D33 Connect to $process is not_found', async ({ process, text }) => {
    const { messages, end } = await (await connect(daemon.url, process)).rest()
    expect(messages).toEqual([])
    expect(end.error).toEqual({ code: 'not_found', message: text })
  })

  test.each(selectors)('D33 D36 every other call for $process is not_found', async ({ process, text }) => {
    const answers = await Promise.all([
      sendInput(daemon.url, process, { stdin: 'x' }),
      closeStdin(daemon.url, process),
      sendSignal(daemon.url, process, 'SIGNAL_SIGKILL'),
      resize(daemon.url, process, { cols: 80, rows: 24 }),
    ])
    for (const { status, body } of answers) {
      expect(status).toBe(404)
      expect(body).toEqual({ code: 'not_found', message: text })
    }
  })

  test.each([{}, { process: {} }])('D33 a request that selects nothing is unimplemented: %j', async (request) => {
    const error = { code: 'unimplemented', message: 'invalid input type *process.ProcessSelector' }
    expect((await (await open(daemon.url, 'process.Process/Connect', request)).rest()).end.error).toEqual(error)
    for (const method of ['SendInput', 'CloseStdin', 'SendSignal', 'Update']) {
      const { status, body } = await call(daemon.url, `process.Process/${method}`, request)
      expect(status).toBe(501)
      expect(body).toEqual(error)
    }
  })
})

describe('D34 exits that are kept', () => {
  test('D34 a late Connect by pid or by tag receives how it ended, and nothing of the output', async () => {
    const { pid } = await shell(daemon.url, 'echo output; exit 7', { tag: 'seven' })
    const end = { exitCode: 7, exited: true, status: 'exit status 7', error: 'exit status 7' }
    for (const selector of [{ pid }, { tag: 'seven' }, { pid }]) {
      const { messages } = await (await connect(daemon.url, selector)).rest()
      expect(messages).toEqual([{ event: { start: { pid, offsets: { stdout: '7' } } } }, { event: { end } }])
    }
  })

  test('D35 a new process with the same tag takes its place', async () => {
    await shell(daemon.url, 'exit 1', { tag: 'again' })
    const stream = await start(daemon.url, 'cat', { tag: 'again' })
    const pid = await startedPid(stream)
    const follower = await connect(daemon.url, { tag: 'again' })
    expect(await startedPid(follower)).toBe(pid)
    await closeStdin(daemon.url, { pid })
    expect((await follower.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 0' })
    await stream.rest()
    const late = await transcript(await connect(daemon.url, { tag: 'again' }))
    expect(late).toMatchObject({ pid, end: { status: 'exit status 0' } })
  })

  test('D36 everything but Connect says not_found', async () => {
    const { pid } = await shell(daemon.url, 'true')
    const answers = await Promise.all([
      sendInput(daemon.url, { pid }, { stdin: 'x' }),
      closeStdin(daemon.url, { pid }),
      sendSignal(daemon.url, { pid }, 'SIGNAL_SIGTERM'),
      resize(daemon.url, { pid }, { cols: 80, rows: 24 }),
    ])
    for (const { body } of answers) expect(body).toMatchObject({ code: 'not_found' })
  })

  test('D34 of 1,100 exits the last 1,000 are kept', async () => {
    const pids: number[] = []
    await inParallel(1100, 32, async () => pids.push((await transcript(await start(daemon.url, 'true'))).pid))
    for (const pid of pids.slice(-900)) {
      const { end } = await transcript(await connect(daemon.url, { pid }))
      expect(end).toMatchObject({ status: 'exit status 0' })
    }
  })

  test('D35 a new process with the same pid is the one that is meant', async (context) => {
    needsNamespace(context)
    const first = await shell(daemon.url, 'exit 5')
    let skipped = 0
    const reused = async () => {
      // How many numbers go to threads of the daemon and to others in between varies.
      await writeFile('/proc/sys/kernel/ns_last_pid', String(first.pid - 1 - (skipped++ % 4)))
      const attempt = await start(daemon.url, 'cat')
      const pid = await startedPid(attempt)
      if (pid === first.pid) return attempt
      await kill(daemon.url, { pid })
      await attempt.rest()
      return undefined
    }
    const stream = await vi.waitUntil(reused, { interval: 1, timeout: 20_000 })
    const live = (await list(daemon.url)).find(({ pid }) => pid === first.pid)
    expect(live?.config.cmd).toBe('cat')
    const follower = await connect(daemon.url, { pid: first.pid })
    await startedPid(follower)
    await sendInput(daemon.url, { pid: first.pid }, { stdin: 'new' })
    expect(await outputUntil(follower, 'new')).toBe('new')
    await kill(daemon.url, { pid: first.pid })
    expect((await follower.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
    const late = await transcript(await connect(daemon.url, { pid: first.pid }))
    expect(late.end).toMatchObject({ status: 'signal: killed' })
    await stream.rest()
  })
})

test('D37 a process can be reached as soon as its pid is known', async () => {
  await inParallel(300, 16, async () => {
    const stream = await start(daemon.url, 'sleep', { args: ['300'] })
    const pid = await startedPid(stream)
    const [follower, { status, body }] = await Promise.all([connect(daemon.url, { pid }), kill(daemon.url, { pid })])
    expect({ status, body }).toEqual({ status: 200, body: {} })
    for (const each of [stream, follower]) {
      expect((await each.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
    }
  })
})

test('D37 a process is out of the list before its end is reported', async () => {
  await inParallel(400, 8, async () => {
    const { pid } = await transcript(await start(daemon.url, 'true'))
    expect((await list(daemon.url)).some((process) => process.pid === pid)).toBe(false)
  })
})
