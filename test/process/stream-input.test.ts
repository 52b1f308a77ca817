import { describe, expect, test } from 'vitest'
import { type ProcessMessage, type RunOptions, type Stream, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { closeStdin, type Input, inputMessage, kill, type Selector, sendInput } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'
import { openInput } from './input-stream.ts'
import { alive } from './proc.ts'

const daemon = sharedDaemon()

const startEvent = (process: Selector) => ({ start: { process } })
const dataEvent = (input: Input) => ({ data: { input: inputMessage(input) } })
const keepalive = { keepalive: {} }
const accepted = { messages: [{}], end: {} }

async function run(cmd: string, options: RunOptions = {}) {
  const stream = await start(daemon.url, cmd, options)
  return { stream, pid: await startedPid(stream) }
}

async function output(stream: Stream<ProcessMessage>): Promise<Buffer> {
  return Buffer.concat((await stream.rest()).messages.map(dataOf))
}

describe.each([{ http2: false }, { http2: true }])('StreamInput, http2: $http2', ({ http2 }) => {
  const open = () => openInput(daemon.url, { http2 })

  test('D52 D54 messages are written as they come, and the end of the request is answered', async () => {
    const { stream, pid } = await run('cat')
    const input = open()
    await input.send(startEvent({ pid }))
    await input.send(dataEvent({ stdin: 'first\n' }))
    expect(await outputUntil(stream, '\n')).toBe('first\n')
    await input.send(keepalive)
    await input.send(dataEvent({ stdin: 'second\n' }))
    expect(await outputUntil(stream, '\n')).toBe('second\n')
    expect(await input.end()).toEqual(accepted)
    await closeStdin(daemon.url, { pid })
    await stream.rest()
  })

  test('D52 D54 thousands of messages keep their order', async () => {
    const { stream, pid } = await run('cat', { tag: `ordered-${http2}` })
    const received = output(stream)
    const input = open()
    await input.send(startEvent({ tag: `ordered-${http2}` }))
    for (let i = 0; i < 3000; i++) await input.send(dataEvent({ stdin: `${i}\n` }))
    expect(await input.end()).toEqual(accepted)
    await closeStdin(daemon.url, { pid })
    expect((await received).toString()).toBe(Array.from({ length: 3000 }, (_, i) => `${i}\n`).join(''))
  })

  test('D52 20 MB reach a reader that starts late, bounded by the reader', async () => {
    const { stream, pid } = await run('/bin/sh', { args: ['-c', 'sleep 0.5; wc -c'] })
    const input = open()
    await input.send(startEvent({ pid }))
    for (let i = 0; i < 20; i++) await input.send(dataEvent({ stdin: Buffer.alloc(1_000_000) }))
    expect(await input.end()).toEqual(accepted)
    await closeStdin(daemon.url, { pid })
    expect((await output(stream)).toString()).toBe('20000000\n')
  })

  test('D52 another start switches to another process', async () => {
    const one = await run('cat')
    const two = await run('cat')
    const input = open()
    for (const [{ pid }, text] of [
      [one, 'a'],
      [two, 'b'],
      [one, 'c'],
    ] as const) {
      await input.send(startEvent({ pid }))
      await input.send(dataEvent({ stdin: text }))
    }
    expect(await input.end()).toEqual(accepted)
    for (const { pid } of [one, two]) await closeStdin(daemon.url, { pid })
    expect((await output(one.stream)).toString()).toBe('ac')
    expect((await output(two.stream)).toString()).toBe('b')
  })

  test('D52 no message at all, or keepalives only, are fine', async () => {
    expect(await open().end()).toEqual(accepted)
    const input = open()
    await input.send(keepalive)
    expect(await input.end()).toEqual(accepted)
  })

  test.each([{}, { unknown: {} }])('D52 a message without an event is refused: %j', async (message) => {
    const input = open()
    await input.send(message)
    expect((await input.end()).end.error).toEqual({ code: 'unimplemented', message: 'invalid event type <nil>' })
  })

  test('D53 data before the start is refused, and the daemon goes on', async () => {
    const input = open()
    await input.send(dataEvent({ stdin: 'x' }))
    expect((await input.end()).end.error?.code).toBe('failed_precondition')
    expect(await open().end()).toEqual(accepted)
  })

  test('D52 the first error ends the call, though the client has not ended its request', async () => {
    const input = open()
    await input.send(startEvent({ pid: 2 ** 31 }))
    expect((await input.answer).end.error).toEqual({
      code: 'not_found',
      message: `process with pid ${2 ** 31} not found`,
    })
    input.close()
    const { stream, pid } = await run('cat')
    const wrong = open()
    await wrong.send(startEvent({ pid }))
    await wrong.send(dataEvent({ stdin: 'kept' }))
    await wrong.send(dataEvent({ pty: 'x' }))
    expect((await wrong.answer).end.error?.message).toMatch(/^error writing to tty: tty not assigned/)
    wrong.close()
    await closeStdin(daemon.url, { pid })
    expect((await output(stream)).toString()).toBe('kept')
  })

  test('D52 a client that goes away closes nothing', async () => {
    const { stream, pid } = await run('cat')
    const input = open()
    await input.send(startEvent({ pid }))
    await input.send(dataEvent({ stdin: 'before\n' }))
    await outputUntil(stream, 'before\n')
    input.close()
    expect((await sendInput(daemon.url, { pid }, { stdin: 'after\n' })).status).toBe(200)
    expect(await outputUntil(stream, '\n')).toBe('after\n')
    expect(await alive(pid)).toBe(true)
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D52 the process may end while input for it waits', async () => {
    const { stream, pid } = await run('sleep', { args: ['300'] })
    const input = open()
    await input.send(startEvent({ pid }))
    await input.send(dataEvent({ stdin: Buffer.alloc(500_000) }))
    await kill(daemon.url, { pid })
    expect((await input.answer).end.error?.code).toMatch(/^(failed_precondition|not_found)$/)
    input.close()
    await stream.rest()
  })

  test('D49 a terminal takes its input in the same way', async () => {
    const { stream, pid } = await run('/bin/sh', {
      args: ['-c', 'read a; read b; echo "[$a][$b]"'],
      pty: { cols: 80, rows: 24 },
    })
    const input = open()
    await input.send(startEvent({ pid }))
    await input.send(dataEvent({ pty: 'one\rtw' }))
    await input.send(dataEvent({ pty: 'o\r' }))
    expect(await input.end()).toEqual(accepted)
    await outputUntil(stream, '[one][two]')
    await stream.rest()
  })
})
