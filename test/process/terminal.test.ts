import { describe, expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { call, type RunOptions, shell, start, transcript } from '../_util/rpc.ts'
import { connect, kill, resize, sendInput } from './calls.ts'
import { inParallel, outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const daemon = commonDaemon()
const pty = { cols: 80, rows: 24 }

async function startShell(script: string, options: RunOptions = {}) {
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', script], pty, ...options })
  return { stream, pid: await startedPid(stream) }
}

async function printed(script: string, options: RunOptions = {}): Promise<string> {
  const { pty: output, stdout, stderr } = await shell(daemon.url, script, { pty, ...options })
  expect(Buffer.concat([stdout, stderr]).toString()).toBe('')
  return output.toString()
}

test('D65 the erase character takes back a whole character of UTF-8', async () => {
  const { stream, pid } = await startShell('stty -echo; echo ready; head -n 1 | od -An -tx1')
  await outputUntil(stream, 'ready')
  await sendInput(daemon.url, { pid }, { pty: 'aé\x7f漢\x7f😀\x7fb\r' })
  expect(await outputUntil(stream, / 0a\r\n/)).toContain(' 61 62 0a\r\n')
  await stream.rest()
})

test('D68 a leader that closes its terminal and opens it again later loses no output, and its end is its exit', async () => {
  const script =
    'exec </dev/null >/dev/null 2>&1; sleep 0.3; echo first >/dev/tty; sleep 0.3; exec >/dev/tty; echo second; exit 7'
  const { pty: output, end } = await shell(daemon.url, script, { pty })
  expect(output.toString()).toBe('first\r\nsecond\r\n')
  expect(end?.exitCode).toBe(7)
})

test('D50 D63 a terminal that no process has open can still be written to and resized while its leader lives', async () => {
  const { stream, pid } = await startShell(
    'exec </dev/null >/dev/null 2>&1; sleep 0.3; read line </dev/tty; (echo $line; stty size) </dev/tty >/dev/tty',
  )
  await sendInput(daemon.url, { pid }, { pty: 'hello\r' })
  await resize(daemon.url, { pid }, { cols: 100, rows: 30 })
  await outputUntil(stream, /hello\r\n30 100\r\n/)
  await stream.rest()
})

describe('size', () => {
  test.each([
    [{ cols: 80, rows: 24 }, '24 80'],
    [{ cols: 211, rows: 53 }, '53 211'],
    [{ cols: 1, rows: 1 }, '1 1'],
    [{ cols: 0, rows: 0 }, '0 0'],
    [{ cols: 70_000, rows: 65_537 }, '1 4464'],
  ])('D64 D65 the first line knows the size %j', async (size, shown) => {
    expect(await printed('stty size', { pty: size })).toBe(`${shown}\r\n`)
  })

  test('D63 D64 a resize changes it and signals the program', async () => {
    const { stream, pid } = await startShell('trap "stty size" WINCH; echo ready; while :; do sleep 0.02; done')
    await outputUntil(stream, 'ready')
    for (const [size, shown] of [
      [{ cols: 100, rows: 30 }, '30 100'],
      [{ cols: 70_000, rows: 40 }, '40 4464'],
      [{ cols: 0, rows: 0 }, '0 0'],
      [{ cols: 80, rows: 24 }, '24 80'],
    ] as const) {
      expect(await resize(daemon.url, { pid }, size)).toMatchObject({ status: 200, body: {} })
      await outputUntil(stream, `${shown}\r\n`)
    }
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D63 an update without a size changes nothing', async () => {
    const { stream, pid } = await startShell('read line; stty size')
    for (const pty of [undefined, {}]) {
      const { status, body } = await call(daemon.url, 'process.Process/Update', { process: { pid }, pty })
      expect({ status, body }).toEqual({ status: 200, body: {} })
    }
    await sendInput(daemon.url, { pid }, { pty: '\r' })
    await outputUntil(stream, '24 80')
    await stream.rest()
  })

  test('D63 a process without a terminal cannot be resized, but updated with nothing', async () => {
    const stream = await start(daemon.url, 'cat')
    const pid = await startedPid(stream)
    const { status, body } = await resize(daemon.url, { pid }, pty)
    expect(status).toBe(500)
    expect(body).toEqual({ code: 'internal', message: 'error resizing tty: tty not assigned to process' })
    expect((await call(daemon.url, 'process.Process/Update', { process: { pid } })).body).toEqual({})
    await kill(daemon.url, { pid })
    await stream.rest()
  })

  test('D63 resizes around the exit are answered with nothing or not_found', async () => {
    await inParallel(60, 8, async () => {
      const { stream, pid } = await startShell('sleep 0.02')
      let over = false
      const ended = stream.rest().then(() => {
        over = true
      })
      let last: unknown
      while (!over) {
        const { status, body } = await resize(daemon.url, { pid }, { cols: 90, rows: 20 })
        last = status === 200 ? { code: 'ok' } : body
        expect(last).toMatchObject({ code: expect.stringMatching(/^(ok|not_found)$/) })
      }
      await ended
      expect((await resize(daemon.url, { pid }, pty)).body).toMatchObject({ code: 'not_found' })
    })
  })
})

describe('session', () => {
  test('D65 the command leads a session with the terminal as its own', async () => {
    const { pid, pty: output } = await shell(
      daemon.url,
      'cut -d" " -f5,6 /proc/$$/stat; ps -o tpgid= $$; tty; echo own > /dev/tty',
      {
        pty,
      },
    )
    const [ids, , device, own] = output.toString().split('\r\n')
    expect(ids).toBe(`${pid} ${pid}`)
    expect(device).toMatch(/^\/dev\/pts\/\d+$/)
    expect(own).toBe('own')
  })

  test('D65 the terminal can be opened again by its name', async () => {
    expect(await printed('echo again > "$(tty)"; stat -c %u "$(tty)"; id -u')).toMatch(/^again\r\n(\d+)\r\n\1\r\n$/)
  })

  test('D67 nothing says what kind of terminal it is, unless the request does', async () => {
    expect(await printed('echo "[$TERM][$LANG]"')).toBe('[][]\r\n')
    expect(await printed('echo "[$TERM]"', { envs: { TERM: 'xterm-256color' } })).toBe('[xterm-256color]\r\n')
  })

  test('D68 everything comes as pty data, stderr too', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'echo out; echo err >&2'], pty })
    const { messages } = await stream.rest()
    const kinds = messages.flatMap(({ event }) => Object.keys(event.data ?? {}))
    expect(new Set(kinds)).toEqual(new Set(['pty', 'offset']))
    expect(messages.at(-1)?.event.end).toEqual({ exited: true, status: 'exit status 0' })
  })

  test('D68 what is still open when the shell is killed ends without an error', async () => {
    const { stream, pid } = await startShell('cat')
    const [, said] = await Promise.all([
      Promise.all(Array.from({ length: 20 }, () => sendInput(daemon.url, { pid }, { pty: 'text\r' }))),
      kill(daemon.url, { pid }).then(() => stream.rest()),
    ])
    expect(said.end).toEqual({})
    expect(said.messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
  })
})

describe('line discipline', () => {
  test('D69 input is echoed, CR becomes a line, and LF becomes CR LF', async () => {
    const { stream, pid } = await startShell('read line; echo "got $line"')
    await sendInput(daemon.url, { pid }, { pty: 'hello\r' })
    expect(await outputUntil(stream, 'got hello\r\n')).toBe('hello\r\ngot hello\r\n')
    await stream.rest()
  })

  test('D69 Ctrl-D ends cat, Ctrl-C interrupts', async () => {
    const cat = await start(daemon.url, 'cat', { pty })
    const catPid = await startedPid(cat)
    await sendInput(daemon.url, { pid: catPid }, { pty: 'line\r' })
    await outputUntil(cat, 'line\r\nline\r\n')
    await sendInput(daemon.url, { pid: catPid }, { pty: '\x04' })
    expect((await cat.rest()).messages.at(-1)?.event.end).toEqual({ exited: true, status: 'exit status 0' })

    const { stream, pid } = await startShell('echo up; exec sleep 300')
    await outputUntil(stream, 'up')
    await sendInput(daemon.url, { pid }, { pty: '\x03' })
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: interrupt' })
  })

  test('D69 Ctrl-C reaches the foreground job of an interactive shell only', async () => {
    const envs = { PS1: '$ ', ENV: '', HISTFILE: '' }
    const stream = await start(daemon.url, '/bin/bash', { args: ['--norc', '--noprofile', '-i'], pty, envs })
    const pid = await startedPid(stream)
    await outputUntil(stream, '$ ')
    await sendInput(daemon.url, { pid }, { pty: "sh -c 'echo foreground; exec sleep 300'\r" })
    await outputUntil(stream, 'foreground\r\n')
    await sendInput(daemon.url, { pid }, { pty: '\x03' })
    await outputUntil(stream, '$ ')
    await sendInput(daemon.url, { pid }, { pty: 'echo "code $?"\r' })
    await outputUntil(stream, 'code 130')
    await sendInput(daemon.url, { pid }, { pty: 'exit 5\r' })
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ exitCode: 5 })
  })

  test('D65 an interactive shell that runs one command does not hang, with and without a terminal', async () => {
    // Without the start-up files of the user of the test.
    const envs = { HOME: '/' }
    for (const options of [{ pty }, {}, { stdin: false }]) {
      const stream = await start(daemon.url, '/bin/bash', { args: ['-ic', 'echo hi'], envs, ...options })
      const { stdout, pty: output, end } = await transcript(stream)
      expect(Buffer.concat([stdout, output]).toString()).toContain('hi')
      expect(end).toMatchObject({ status: 'exit status 0' })
    }
  })
})

test('D27 two clients on one terminal both see everything and both type', async () => {
  const { stream, pid } = await startShell('stty -echo; echo up; while read line; do echo "got $line"; done')
  await outputUntil(stream, 'up\r\n')
  const second = await connect(daemon.url, { pid }, { http2: true })
  await startedPid(second)
  await sendInput(daemon.url, { pid }, { pty: 'one\r' })
  await sendInput(daemon.url, { pid }, { pty: 'two\r' }, { http2: true })
  for (const client of [stream, second]) expect(await outputUntil(client, 'got two\r\n')).toBe('got one\r\ngot two\r\n')
  stream.close()
  await sendInput(daemon.url, { pid }, { pty: 'three\r' })
  await outputUntil(second, 'got three\r\n')
  expect(await alive(pid)).toBe(true)
  await sendInput(daemon.url, { pid }, { pty: '\x04' })
  expect((await second.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 0' })
})

test('D22 a deadline ends a terminal as well', async () => {
  const headers = { 'connect-timeout-ms': '700' }
  const { stream, pid } = await startShell('sleep 300', { headers })
  expect((await stream.rest()).end.error?.code).toBe('deadline_exceeded')
  await expect.poll(async () => !(await alive(pid))).toBe(true)
})
