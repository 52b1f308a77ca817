import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { type ProcessMessage, type RunOptions, type Stream, shell, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { closeStdin, kill, sendInput } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'
import { cpuSeconds } from './proc.ts'

const daemon = sharedDaemon()
const pty = { cols: 80, rows: 24 }

interface Running {
  readonly stream: Stream<ProcessMessage>
  readonly pid: number
}

async function startShell(script: string, options: RunOptions = {}): Promise<Running> {
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', script], ...options })
  return { stream, pid: await startedPid(stream) }
}

/** A terminal in raw mode whose program takes no input. */
async function stalled(): Promise<Running> {
  const running = await startShell('stty raw -echo; echo up; exec sleep 300', { pty })
  await outputUntil(running.stream, 'up')
  return running
}

async function end({ stream, pid }: Running): Promise<void> {
  await kill(daemon.url, { pid })
  await stream.rest()
}

test('D65 with 20 terminals open no command sees more than its own three descriptors', async () => {
  const terminals = await Promise.all(Array.from({ length: 20 }, () => startShell('sleep 300', { pty })))
  for (const options of [{}, { pty }]) {
    const { stdout, pty: output } = await shell(daemon.url, 'ls /proc/$$/fd; true', options)
    expect(Buffer.concat([stdout, output]).toString().trim().split(/\s+/)).toEqual(['0', '1', '2'])
  }
  await Promise.all(terminals.map(end))
})

test('D51 a terminal that takes no input costs no processor time, and the others answer', async () => {
  const silent = await stalled()
  const blocked = sendInput(daemon.url, { pid: silent.pid }, { pty: Buffer.alloc(1_000_000, 'x') })
  const other = await startShell('stty -echo; echo up; cat', { pty })
  await outputUntil(other.stream, 'up')
  const before = await cpuSeconds(daemon.pid)
  const began = performance.now()
  for (let i = 0; performance.now() - began < 1500; i++) {
    await sendInput(daemon.url, { pid: other.pid }, { pty: `line ${i}\r` })
    await outputUntil(other.stream, `line ${i}\r\n`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  expect((await cpuSeconds(daemon.pid)) - before).toBeLessThan(0.5)
  await end(silent)
  expect((await blocked).body).toMatchObject({
    code: 'failed_precondition',
    message: expect.stringMatching(/^error writing to tty: /),
  })
  await end(other)
})

test('D51 input that waits for a dead terminal reaches no other process', async () => {
  for (let round = 0; round < 20; round++) {
    const silent = await stalled()
    const blocked = sendInput(daemon.url, { pid: silent.pid }, { pty: Buffer.alloc(200_000, 'A') })
    const [, ...victims] = await Promise.all([
      kill(daemon.url, { pid: silent.pid }),
      ...Array.from({ length: 4 }, () => start(daemon.url, 'cat')),
    ])
    for (const victim of victims) {
      const pid = await startedPid(victim)
      await sendInput(daemon.url, { pid }, { stdin: 'B' })
      await closeStdin(daemon.url, { pid })
      const { messages } = await victim.rest()
      expect(Buffer.concat(messages.map(dataOf)).toString()).toBe('B')
    }
    expect((await blocked).status).not.toBe(200)
    await silent.stream.rest()
  }
})

test('D49 5 MB into a raw terminal arrive exactly', async () => {
  const paste = Buffer.alloc(5_000_000)
  for (let i = 0; i < paste.length; i++) paste[i] = (i * 31 + (i >> 8)) & 0xff
  const { stream, pid } = await startShell('stty raw -echo; echo up; head -c 5000000 | sha256sum', { pty })
  await outputUntil(stream, 'up')
  expect((await sendInput(daemon.url, { pid }, { pty: paste })).body).toEqual({})
  await outputUntil(stream, createHash('sha256').update(paste).digest('hex'))
  await stream.rest()
})

test('D51 ten pastes at the same time do not mix', async () => {
  const { stream, pid } = await startShell('stty raw -echo; echo up; head -c 500000 | tr -s a-j', { pty })
  await outputUntil(stream, 'up\n')
  const letters = Array.from('abcdefghij')
  const answers = letters.map((letter) => sendInput(daemon.url, { pid }, { pty: letter.repeat(50_000) }))
  for (const { body } of await Promise.all(answers)) expect(body).toEqual({})
  const { messages } = await stream.rest()
  expect(Array.from(Buffer.concat(messages.map(dataOf)).toString()).sort()).toEqual(letters)
})

test('D51 more than 16 MiB of waiting terminal input are refused', async () => {
  const silent = await stalled()
  const sent = [1, 2, 3, 4].map(() => sendInput(daemon.url, { pid: silent.pid }, { pty: Buffer.alloc(5_000_000) }))
  expect((await Promise.race(sent)).body).toMatchObject({ code: 'resource_exhausted' })
  await end(silent)
  await Promise.all(sent)
})

test('D17 a terminal in raw mode passes every byte', async () => {
  const { stream, pid } = await startShell('stty raw -echo; echo up; head -c 256', { pty })
  await outputUntil(stream, 'up\n')
  const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
  await sendInput(daemon.url, { pid }, { pty: every })
  const { messages } = await stream.rest()
  expect(Buffer.concat(messages.map(dataOf))).toEqual(every)
})

test('D68 the last 5 MB of a terminal are there at the exit', async () => {
  const { pty: output, end } = await shell(daemon.url, 'stty -opost; head -c 5000000 /dev/zero; printf end', { pty })
  expect(output).toHaveLength(5_000_003)
  expect(output.subarray(-3).toString()).toBe('end')
  expect(end).toMatchObject({ status: 'exit status 0' })
})
