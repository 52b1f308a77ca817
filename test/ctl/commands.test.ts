import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { ctl } from './ctl.ts'

const daemon = sharedDaemon()
const run = (...args: string[]) => ctl(daemon.url, args)
const lines = (bytes: Buffer) => bytes.toString().trimEnd().split('\n')
const objects = (bytes: Buffer) => lines(bytes).map((line) => JSON.parse(line) as Record<string, unknown>)

test('run passes output, streams and the exit code on', async () => {
  const { code, stdout, stderr } = await run('run', 'sh', '-c', 'echo out; echo err >&2; exit 7')
  expect({ code, stdout: stdout.toString(), stderr }).toEqual({ code: 7, stdout: 'out\n', stderr: 'err\n' })
})

test('run passes bytes on as they are, more than any buffer holds', async () => {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 31) & 0xff))
  const { code, stdout } = await ctl(daemon.url, ['run', '-i', 'cat'], { input: bytes })
  expect(code).toBe(0)
  expect(stdout.equals(bytes)).toBe(true)
})

test.each([
  ['kill -9 $$', 137, 'killed'],
  ['kill $$', 143, 'terminated'],
  ['kill -2 $$', 130, 'interrupt'],
])('a command that a signal ends is reported as a shell does: %s', async (script, code, name) => {
  expect(await run('run', 'sh', '-c', script)).toMatchObject({ code, stderr: `envd ctl: signal: ${name}\n` })
})

test('words of the command are no options of the client, with and without --', async () => {
  expect((await run('run', '-w', '/', 'echo', '-w', '--json', '-e')).stdout.toString()).toBe('-w --json -e\n')
  expect((await run('run', '--', 'echo', '--', '-x')).stdout.toString()).toBe('-- -x\n')
})

test('directory, variables, tag and limits are those of the start', async () => {
  const script = 'pwd; echo "$A:$B"; seq 10000'
  const args = ['-w', '/tmp', '-e', 'A=1', '--env', 'B=x=y', '--output-max', '1024', 'sh', '-c', script]
  const [cwd, variables, ...rest] = lines((await run('run', ...args)).stdout)
  expect([cwd, variables]).toEqual(['/tmp', '1:x=y'])
  expect(rest.join()).toContain('bytes of output left out')
})

test('an interrupt asks the command to end, and its exit code comes', async () => {
  const script = 'trap "exit 5" TERM; echo up; while :; do sleep 0.1; done'
  const { code } = await ctl(daemon.url, ['run', 'sh', '-c', script], { until: (stdout) => stdout === 'up\n' })
  expect(code).toBe(5)
})

test('the same key again attaches to the same command', async () => {
  const twice = () => ctl(daemon.url, ['run', '--key', 'a-key', 'sh', '-c', 'echo $$; exit 3'])
  const first = await twice()
  expect(first.code).toBe(3)
  expect(await twice()).toEqual(first)
})

test('JSON has the events, bytes in base64', async () => {
  expect(objects((await run('run', '--json', 'sh', '-c', 'echo hi; exit 3')).stdout)).toEqual([
    { start: { pid: expect.any(Number) } },
    { data: { stdout: 'aGkK' } },
    { end: { exitCode: 3, exited: true, status: 'exit status 3', error: 'exit status 3' } },
  ])
})

test('ports, metrics and changes of files', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  expect((await run('ports')).stdout.toString()).toMatch(new RegExp(`^${port} +127\\.0\\.0\\.1 `, 'm'))
  expect(objects((await run('ports', '--json')).stdout)).toContainEqual(expect.objectContaining({ port }))
  server.close()
  expect((await run('top', '-n', '1')).stdout.toString()).toMatch(/^cpu \d+\.\d % of [\s\S]*\nPID +TAG +USER /)
  expect(objects((await run('top', '-n', '1', '--json')).stdout)).toMatchObject([
    { sample: {}, jobs: expect.any(Array) },
  ])
  await using dir = await makeTmpDir()
  mkdirSync(join(dir.path, 'sub'))
  // It is not reported when the watch is there.
  const touch = setInterval(() => writeFileSync(join(dir.path, 'sub/file'), 'x'), 100)
  try {
    const until = (text: string) => text.endsWith('\n')
    const { stdout } = await ctl(daemon.url, ['watch', '-r', dir.path, '--json'], { until })
    expect(stdout.toString()).toContain('{"name":"sub/file","type":"EVENT_TYPE_')
  } finally {
    clearInterval(touch)
  }
})

test.each([
  [['nothing'], 2, 'no command nothing'],
  [['ps', '--nothing'], 2, "Unknown option '--nothing'"],
  [['run'], 2, 'usage: envd ctl run'],
  [['wait', 'a', 'b'], 2, 'usage: envd ctl wait'],
  [['run', '-e', 'novalue', 'true'], 2, 'no NAME=VALUE'],
  [['ps', '--url', 'ftp://x'], 2, 'no URL of a sandbox'],
  [['ps', '--token-file', '/no/such/file'], 2, 'the token cannot be read'],
  [['kill', '-s', 'HUP', '1'], 2, 'a signal is one of TERM, KILL, INT'],
  [['wait', '--timeout', '-1', '1'], 2, 'Option'],
  [['logs', '--tail', 'x', '1'], 2, '--tail must be a number from 0 on'],
  [['record', 'nobody', '/no/such/dir/x'], 2, 'the file cannot be written'],
  [['record', 'nobody', '-'], 125, 'process with tag nobody not found'],
  [['attach', 'nobody'], 125, 'process with tag nobody not found'],
  [['top', '-n', '0'], 2, '--count must be a number from 1 on'],
  [['wait', 'nobody'], 125, 'process with tag nobody not found'],
  [['ps', '--url', '127.0.0.1:1'], 125, '127.0.0.1:1 does not answer'],
])('%j ends with %i: %s', async (args, code, text) => {
  const ran = await run(...args)
  expect(ran.code).toBe(code)
  expect(ran.stderr).toContain(text)
  expect(ran.stdout.length).toBe(0)
})

test('every command has help', async () => {
  const overview = (await run('--help')).stdout.toString()
  const names = [...overview.matchAll(/^ {2}(\w+) /gm)].map(([, name = '']) => name)
  expect(names).toEqual(
    expect.arrayContaining([
      'run',
      'ps',
      'logs',
      'wait',
      'kill',
      'attach',
      'record',
      'top',
      'ports',
      'watch',
      'completion',
    ]),
  )
  for (const name of names) {
    const { code, stdout } = await run(name, '--help')
    expect(code).toBe(0)
    expect(stdout.toString().startsWith(`usage: envd ctl ${name} `)).toBe(true)
    expect(stdout.toString()).toContain('--url URL')
  }
})
