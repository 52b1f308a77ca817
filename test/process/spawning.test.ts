import { chmod, readdir, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { asUser, call, open, type RunOptions, shell, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { kill, list, sendInput } from './calls.ts'
import { outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const daemon = sharedDaemon()
const pty = { cols: 80, rows: 24 }

async function printed(command: string, options?: RunOptions): Promise<string> {
  const { stdout, stderr, end } = await shell(daemon.url, command, options)
  expect({ stderr: stderr.toString(), end }).toMatchObject({ stderr: '', end: { status: 'exit status 0' } })
  return stdout.toString()
}

test('D1 the pid of the start event is that of the command itself', async () => {
  const { pid, stdout } = await shell(daemon.url, 'echo $$')
  expect(Number(stdout)).toBe(pid)
})

test.each([
  { how: 'pipes', options: {} },
  { how: 'a terminal', options: { pty } },
])('D2 D3 oom score, niceness and I/O class of a command with $how, whatever the daemon has', async ({ options }) => {
  if (process.getuid?.() === 0)
    for (const task of await readdir(`/proc/${daemon.pid}/task`)) setPriority(Number(task), -5)
  const { stdout, pty: output } = await shell(
    daemon.url,
    'cat /proc/self/oom_score_adj; nice; ionice; umask; grep -E "Sig(Blk|Ign)" /proc/self/status; grep NoNewPrivs /proc/self/status',
    options,
  )
  expect(Buffer.concat([stdout, output]).toString().replaceAll('\r', '').split('\n')).toEqual([
    '100',
    '0',
    'best-effort: prio 4',
    '0022',
    'SigBlk:\t0000000000000000',
    'SigIgn:\t0000000000000000',
    'NoNewPrivs:\t0',
    '',
  ])
})

test('D4 a missing command "runs" and ends with 127', async () => {
  for (const command of ['no-such-command', './no-such-command', '/no/such/command']) {
    const { pid, stdout, stderr, end } = await transcript(await start(daemon.url, command, { envs: { PATH: '/bin' } }))
    expect(pid).toBeGreaterThan(0)
    expect(stdout).toHaveLength(0)
    expect(stderr.toString()).toBe(`${command}: no such file or directory\n`)
    expect(end).toEqual({ exitCode: 127, exited: true, status: 'exit status 127', error: 'exit status 127' })
  }
})

test('D4 a file that is not executable, and a directory, end with 126', async () => {
  await using directory = await makeTmpDir()
  const file = join(directory.path, 'plain')
  await writeFile(file, 'text', { mode: 0o644 })
  for (const command of [file, directory.path]) {
    const { stderr, end } = await transcript(await start(daemon.url, command))
    expect(stderr.toString()).toBe(`${command}: permission denied\n`)
    expect(end).toMatchObject({ exitCode: 126, exited: true })
  }
})

test('D4 a missing command in a terminal says so in the terminal', async () => {
  const { pty: output, end } = await transcript(
    await start(daemon.url, 'no-such-command', { pty, envs: { PATH: '/bin' } }),
  )
  expect(output.toString()).toContain('no-such-command: no such file or directory')
  expect(end).toMatchObject({ exitCode: 127 })
})

test("D4 the command is looked up in the child's own PATH, or relative to its cwd", async () => {
  await using directory = await makeTmpDir()
  const program = join(directory.path, 'greet')
  await writeFile(program, '#!/bin/sh\necho "hello $1"\n')
  await chmod(program, 0o755)
  const args = ['you']
  const byPath = await start(daemon.url, 'greet', { args, envs: { PATH: `${directory.path}:/bin` } })
  expect((await transcript(byPath)).stdout.toString()).toBe('hello you\n')
  const relative = await start(daemon.url, './greet', { args, cwd: directory.path })
  expect((await transcript(relative)).stdout.toString()).toBe('hello you\n')
})

test('D4 a script without an interpreter line runs under sh', async () => {
  await using directory = await makeTmpDir()
  const program = join(directory.path, 'script')
  await writeFile(program, 'echo "$0 $1"\n', { mode: 0o755 })
  const { stdout } = await transcript(await start(daemon.url, program, { args: ['one'] }))
  expect(stdout.toString()).toBe(`${program} one\n`)
})

test('D5 an empty command is refused', async () => {
  for (const message of [{ process: { cmd: '' } }, {}]) {
    const { messages, end } = await (await open(daemon.url, 'process.Process/Start', message)).rest()
    expect(messages).toEqual([])
    expect(end.error).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('cmd must not be empty'),
    })
  }
})

test('D6 arguments reach the command untouched', async () => {
  const args = ['--', '', 'a b', '$HOME', '*', "it's", '"', '\\', 'two\nlines\r\n', '-c', 'é漢😀', '--version', '']
  const show = 'for argument; do printf "%s\\0" "$argument"; done'
  const { stdout } = await transcript(await start(daemon.url, '/bin/sh', { args: ['-c', show, 'sh', ...args] }))
  expect(stdout.toString().split('\0')).toEqual([...args, ''])
})

test('D6 a heredoc, quotes and substitutions in one argument work', async () => {
  const script = 'cat <<EOF\na  "b" $(echo c)\n\tEOF \\\\\nEOF\necho done'
  expect(await printed(script)).toBe('a  "b" c\n\tEOF \\\ndone\n')
})

test('D8 a command leads a session and a group of its own', async () => {
  for (const options of [{}, { pty }]) {
    const { pid, stdout, pty: output } = await shell(daemon.url, 'cut -d" " -f5,6 /proc/$$/stat', options)
    expect(Buffer.concat([stdout, output]).toString().trim()).toBe(`${pid} ${pid}`)
  }
})

test('D8 kill 0 ends the command, not the daemon and not other commands', async () => {
  const other = await start(daemon.url, 'sleep', { args: ['300'] })
  const pid = await startedPid(other)
  const { end } = await shell(daemon.url, 'kill 0; sleep 60')
  expect(end).toMatchObject({ status: 'signal: terminated' })
  expect((await shell(daemon.url, "trap 'kill 0' EXIT; exit 0")).end).toMatchObject({ status: 'signal: terminated' })
  expect(await alive(pid)).toBe(true)
  await kill(daemon.url, { pid })
  await other.rest()
})

test.each([
  ['an argument', { args: ['a\0b'] }],
  ['a cwd', { cwd: '/tmp\0/x' }],
])('D11 a NUL byte in %s is refused', async (_, options) => {
  const { messages, end } = await (await start(daemon.url, '/bin/true', options)).rest()
  expect(messages).toEqual([])
  expect(end.error?.code).toBe('invalid_argument')
  expect(end.error?.message).toMatch(/NUL|invalid argument/)
})

test.each([
  ['one argument of 200 KB', { args: ['x'.repeat(200_000)] }],
  ['one variable of 200 KB', { envs: { LONG: 'x'.repeat(200_000) } }],
  ['12 MB of arguments', { args: Array<string>(120).fill('x'.repeat(100_000)) }],
])('D11 %s is refused with the limit in the text', async (_, options) => {
  const { messages, end } = await (await start(daemon.url, '/bin/true', options)).rest()
  expect(messages).toEqual([])
  expect(end.error).toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(/128 KiB|6291456 bytes/) })
  expect(end.error?.message?.length).toBeLessThan(1000)
})

test('D11 100 KB in one argument is no problem', async () => {
  const { stdout } = await transcript(await start(daemon.url, 'printf', { args: ['%s', 'x'.repeat(100_000)] }))
  expect(stdout).toHaveLength(100_000)
})

test('D13 D75 an unknown user is an end-of-stream error before any message', async () => {
  const stream = await start(daemon.url, '/bin/true', { headers: asUser('nobody-of-that-name') })
  expect(stream.status).toBe(200)
  expect(await stream.rest()).toEqual({
    messages: [],
    end: { error: { code: 'unauthenticated', message: "invalid username: 'nobody-of-that-name'" } },
  })
})

test('D13 nothing of a failed start stays behind', async () => {
  const tag = 'failed-start'
  await (await start(daemon.url, '/bin/true', { tag, cwd: '/no/such/directory' })).rest()
  await (await start(daemon.url, '/bin/true', { tag, args: ['\0'] })).rest()
  expect((await list(daemon.url)).filter((process) => process.tag === tag)).toEqual([])
  expect((await call(daemon.url, 'process.Process/SendSignal', { process: { tag }, signal: 9 })).body).toMatchObject({
    code: 'not_found',
  })
})

test.each([
  ['without the field', undefined],
  ['with stdin: true', true],
])('D14 %s the command reads a pipe', async (_, stdin) => {
  const stream = await start(daemon.url, '/bin/sh', {
    args: ['-c', 'readlink /proc/self/fd/0; read line; echo "got $line"'],
    ...(stdin === undefined ? {} : { stdin }),
  })
  const pid = await startedPid(stream)
  expect(await outputUntil(stream, '\n')).toMatch(/^pipe:/)
  await sendInput(daemon.url, { pid }, { stdin: 'hello\n' })
  expect(await outputUntil(stream, '\n')).toBe('got hello\n')
  await stream.rest()
})

test('D14 with stdin: false reading gives the end of file at once', async () => {
  expect(await printed('readlink /proc/self/fd/0; cat; echo over')).toBe('/dev/null\nover\n')
})

test('D14 in a terminal stdin: false means nothing', async () => {
  const stream = await start(daemon.url, '/bin/sh', {
    args: ['-c', 'tty; read line; echo "got $line"'],
    pty,
    stdin: false,
  })
  const pid = await startedPid(stream)
  expect(await outputUntil(stream, '\n')).toMatch(/^\/dev\/pts\/\d+/)
  await sendInput(daemon.url, { pid }, { pty: 'hello\n' })
  await outputUntil(stream, 'got hello\r\n')
  await stream.rest()
})

test('D2 a command can open its standard descriptors again by name', async (context) => {
  needsRoot(context)
  expect(await printed('echo again > /dev/stdout; echo over >> /proc/self/fd/1')).toBe('again\nover\n')
})
