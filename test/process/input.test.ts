import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { type Answer, call, type ProcessMessage, type RunOptions, type Stream, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { closeStdin, type Input, kill, list, type Selector, sendInput } from './calls.ts'
import { dataOf, inParallel, outputUntil, startedPid } from './following.ts'

const daemon = commonDaemon()
const MB = 1_000_000
const pty = { cols: 80, rows: 24 }

async function startShell(command: string, options: RunOptions = {}) {
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', command], ...options })
  return { stream, pid: await startedPid(stream) }
}

async function rest(stream: Stream<ProcessMessage>): Promise<string> {
  return Buffer.concat((await stream.rest()).messages.map(dataOf)).toString()
}

/** A process that reads nothing until the file `go` is there; then it counts its input. */
async function lateReader(directory: string) {
  const file = join(directory, 'go')
  const { stream, pid } = await startShell(`until [ -e ${file} ]; do sleep 0.02; done; wc -c`)
  return { stream, pid, go: () => writeFile(file, '') }
}

function accepted({ status, body }: Answer): void {
  expect({ status, body }).toEqual({ status: 200, body: {} })
}

/** Sends input until it is not refused for what else waits at the moment. */
async function patiently(process: Selector, stdin: Buffer, signal?: AbortSignal): Promise<Answer> {
  for (;;) {
    const answer = await sendInput(daemon.url, process, { stdin }, signal === undefined ? {} : { signal })
    if (answer.status !== 429) return answer
  }
}

test('D49 D55 5 MB in one call, then the end of input, are counted exactly', async () => {
  const stream = await start(daemon.url, 'wc', { args: ['-c'] })
  const pid = await startedPid(stream)
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(5 * MB, 'x') }))
  accepted(await closeStdin(daemon.url, { pid }))
  expect(await rest(stream)).toBe('5000000\n')
})

test('D49 input is bytes, and empty input is fine', async () => {
  const stream = await start(daemon.url, 'od', { args: ['-An', '-tx1'] })
  const pid = await startedPid(stream)
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.from([0, 1, 2, 0xff]) }))
  accepted(await sendInput(daemon.url, { pid }, { stdin: '' }))
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.from([4, 0x0d, 0x0a]) }))
  accepted(await closeStdin(daemon.url, { pid }))
  expect(await rest(stream)).toBe(' 00 01 02 ff 04 0d 0a\n')
})

test('D51 inputs of concurrent calls do not mix', async () => {
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'tr -s A-T'] })
  const pid = await startedPid(stream)
  const letters = Array.from('ABCDEFGHIJKLMNOPQRST')
  const answers = Promise.all(
    letters.map((letter) => sendInput(daemon.url, { pid }, { stdin: letter.repeat(200_000) })),
  )
  for (const answer of await answers) accepted(answer)
  accepted(await closeStdin(daemon.url, { pid }))
  expect(Array.from(await rest(stream)).sort()).toEqual(letters)
})

test('D51 inputs queue in the order of the calls, and the end of input comes after them', async () => {
  await using directory = await makeTmpDir()
  const { stream, pid, go } = await lateReader(directory.path)
  // As much as a pipe holds, so that nothing of the next can be written.
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(65_536) }))
  const patient = () => patiently({ pid }, Buffer.alloc(4 * MB))
  const sent = [patient(), patient(), patient(), patient()]
  // With all four waiting, one more is refused; before that it takes the place of one for a moment.
  const allWait = async () => {
    const headers = { 'connect-timeout-ms': '100' }
    return (await sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(MB) }, { headers })).status === 429
  }
  await expect.poll(allWait).toBe(true)
  const closing = closeStdin(daemon.url, { pid })
  await go()
  for (const answer of await Promise.all([...sent, closing])) accepted(answer)
  expect(await rest(stream)).toBe(`${65_536 + 16 * MB}\n`)
})

test('D51 a blocked input is taken back when its client goes, and the next ones are written', async () => {
  await using directory = await makeTmpDir()
  const { stream, pid, go } = await lateReader(directory.path)
  // As much as a pipe holds, so that nothing of the next can be written.
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(65_536) }))
  const controller = new AbortController()
  const blocked = patiently({ pid }, Buffer.alloc(15 * MB), controller.signal)
  blocked.catch(() => {})
  // Refused while the first one waits as well; alone it waits until its deadline.
  const second = async () => {
    const headers = { 'connect-timeout-ms': '100' }
    return sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(2 * MB) }, { headers })
  }
  await expect.poll(async () => (await second()).status === 429).toBe(true)
  controller.abort()
  await expect(blocked).rejects.toThrow()
  const { body } = await vi.waitUntil(
    async () => {
      const answer = await second()
      return answer.status === 429 ? undefined : answer
    },
    { timeout: 20_000 },
  )
  expect(body).toEqual({ code: 'deadline_exceeded', message: 'context deadline exceeded' })
  const tail = sendInput(daemon.url, { pid }, { stdin: 'tail' })
  await go()
  accepted(await tail)
  accepted(await closeStdin(daemon.url, { pid }))
  expect(await rest(stream)).toBe(`${65_536 + 4}\n`)
})

test('D51 more than 16 MiB waiting are refused, and nothing of what waits is lost', async () => {
  await using directory = await makeTmpDir()
  const { stream, pid, go } = await lateReader(directory.path)
  // As much as a pipe holds, so that no more can be written.
  accepted(await sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(65_536) }))
  const sent = [1, 2, 3, 4].map(() => sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(5 * MB) }))
  expect((await Promise.race(sent)).body).toMatchObject({ code: 'resource_exhausted' })
  const small = sendInput(daemon.url, { pid }, { stdin: 'small' })
  await go()
  expect((await Promise.all(sent)).map(({ status }) => status).sort()).toEqual([200, 200, 200, 429])
  accepted(await small)
  accepted(await closeStdin(daemon.url, { pid }))
  expect(await rest(stream)).toBe(`${65_536 + 15 * MB + 5}\n`)
})

test('D51 while an input is blocked everything else works, and a kill frees it', async () => {
  const { stream, pid } = await startShell('head -c 1; sleep 300')
  const blocked = sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(MB, 'x') })
  // It has arrived: its beginning was read, and a pipe takes but a part of the rest.
  expect((await stream.next()).event.data).toMatchObject({ stdout: Buffer.from('x').toString('base64') })
  const closing = closeStdin(daemon.url, { pid })
  expect((await list(daemon.url)).some((process) => process.pid === pid)).toBe(true)
  accepted(await kill(daemon.url, { pid }))
  expect((await blocked).body).toMatchObject({
    code: 'failed_precondition',
    message: expect.stringMatching(/^error writing to stdin: (write \|1: broken pipe|stdin not enabled or closed)$/),
  })
  const { body } = await closing
  expect([{}, expect.objectContaining({ code: 'not_found' })]).toContainEqual(body)
  await stream.rest()
})

describe('D50 N2 refused inputs', () => {
  const toPty = 'error writing to stdin: tty assigned to process — input should be written to the pty, not the stdin'
  const toPipe = 'error writing to tty: tty not assigned to process — input should be written to the stdin, not the tty'
  const closed = 'error writing to stdin: stdin not enabled or closed'

  test.each([
    { what: 'stdin to a terminal', options: { pty }, input: { stdin: 'x' } satisfies Input, message: toPty },
    { what: 'pty to a pipe', options: {}, input: { pty: 'x' } satisfies Input, message: toPipe },
    { what: 'stdin that is off', options: { stdin: false }, input: { stdin: 'x' } satisfies Input, message: closed },
  ])('D50 N2 $what', async ({ options, input, message }) => {
    const { stream, pid } = await startShell('sleep 300', options)
    const { status, body } = await sendInput(daemon.url, { pid }, input)
    expect(status).toBe(400)
    expect(body).toEqual({ code: 'failed_precondition', message })
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D50 N2 stdin that was closed', async () => {
    const { stream, pid } = await startShell('cat; sleep 300')
    accepted(await closeStdin(daemon.url, { pid }))
    const { body } = await sendInput(daemon.url, { pid }, { stdin: 'x' })
    expect(body).toEqual({ code: 'failed_precondition', message: closed })
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D50 N2 stdin without a reader', async () => {
    const { stream, pid } = await startShell('exec 0<&-; echo closed; sleep 300')
    await outputUntil(stream, 'closed')
    const { body } = await sendInput(daemon.url, { pid }, { stdin: 'x' })
    const message = 'error writing to stdin: write |1: broken pipe'
    expect(body).toEqual({ code: 'failed_precondition', message })
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test.each([{}, { input: {} }])('D50 no input at all: %j', async (input) => {
    const { stream, pid } = await startShell('sleep 300')
    const { status, body } = await call(daemon.url, 'process.Process/SendInput', { process: { pid }, ...input })
    expect(status).toBe(501)
    expect(body).toEqual({ code: 'unimplemented', message: 'invalid input type <nil>' })
    await kill(daemon.url, { pid })
    await stream.rest()
  })
})

describe('D55 CloseStdin', () => {
  test.each([{ stdin: true }, { stdin: false }])(
    'D55 closing twice is no error, with stdin: $stdin',
    async (options) => {
      const { stream, pid } = await startShell('cat; sleep 300', options)
      accepted(await closeStdin(daemon.url, { pid }))
      accepted(await closeStdin(daemon.url, { pid }))
      await kill(daemon.url, { pid })
      await stream.rest()
    },
  )

  test('D55 N2 a terminal has none to close', async () => {
    const { stream, pid } = await startShell('sleep 300', { pty })
    const { status, body } = await closeStdin(daemon.url, { pid })
    expect(status).toBe(400)
    expect(body).toEqual({
      code: 'failed_precondition',
      message: 'error closing stdin: cannot close stdin for PTY process — send Ctrl+D (0x04) instead',
    })
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D55 a close that races with writes loses nothing that was accepted', async () => {
    await inParallel(40, 8, async () => {
      const stream = await start(daemon.url, 'wc', { args: ['-c'] })
      const pid = await startedPid(stream)
      const [sent, , late] = await Promise.all([
        sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(300_000) }),
        closeStdin(daemon.url, { pid }),
        sendInput(daemon.url, { pid }, { stdin: 'x' }),
      ])
      const written = (sent.status === 200 ? 300_000 : 0) + (late.status === 200 ? 1 : 0)
      expect(Number(await rest(stream))).toBe(written)
    })
  })
})
