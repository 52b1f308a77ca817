import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { describe, expect, onTestFinished, test } from 'vitest'
import { State, Supervisor } from '../../src/gen/supervisor/supervisor_pb.js'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connect, list } from '../process/calls.ts'
import { outputUntil, startedPid } from '../process/following.ts'
import { freePort } from './free-port.ts'

const SERVICE = fileURLToPath(new URL('fixtures/counter-service.ts', import.meta.url))

/** A directory for commands to work in, removed with the test. */
async function workDir(): Promise<string> {
  const dir = await makeTmpDir()
  onTestFinished(() => dir[Symbol.asyncDispose]())
  return dir.path
}

/** A daemon whose commands run in `dir`, their home as well: no profile of the machine's user slows them down. */
function startIn(dir: string, args: readonly string[]): Promise<Daemon> {
  return startDaemon({ args: ['-isnotfc', '-start-workdir', dir, '-start-env', `HOME=${dir}`, ...args] })
}

async function ready(url: string, headers: Record<string, string> = {}) {
  const { status, text } = await sendWhole(`${url}/ready`, { headers })
  return { status, body: text === '' ? undefined : JSON.parse(text) }
}

function becomesReady(url: string): Promise<void> {
  return expect.poll(() => ready(url), { timeout: 20_000 }).toEqual({ status: 204, body: undefined })
}

/** A status as Connect JSON has it; numbers of 0 are left out. */
interface StatusJson {
  readonly state: string
  readonly reason: string
  readonly restarts?: number
  readonly pid?: number
  readonly cause?: { readonly kind: string; readonly exitCode?: number }
  readonly output?: string
}

type WatchJson = { readonly event?: unknown; readonly status?: StatusJson; readonly keepalive?: object }

describe('a service as a start command', () => {
  const args = (port: number, delay: number) => [
    '-start-cmd',
    `exec '${process.execPath}' '${SERVICE}' ${port} ${delay}`,
    '-ready-cmd',
    `curl -sf localhost:${port}`,
  ]

  test('K14 K15 that listens after 3 s is ready from then on, is driven through its port, and restarts after a crash', async () => {
    const [dir, port] = [await workDir(), await freePort()]
    await using daemon = await startIn(dir, [...args(port, 3000), '-restart', 'on-failure'])
    await expect
      .poll(() => ready(daemon.url))
      .toEqual({
        status: 503,
        body: { state: 'starting', reason: 'ready command failing: exit status 7', output: '' },
      })
    expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
    await becomesReady(daemon.url)

    const service = `http://127.0.0.1:${port}`
    await sendWhole(service, { method: 'POST' })
    expect((await sendWhole(service, { method: 'POST' })).text).toBe('2\n')

    const listed = (await list(daemon.url)).filter(({ tag }) => tag === 'start')
    expect(listed.map(({ config }) => [config.cmd, config.args?.slice(0, 2), config.cwd])).toEqual([
      ['/bin/bash', ['-l', '-c'], dir],
    ])
    const stream = await connect(daemon.url, { tag: 'start' })
    expect(await startedPid(stream)).toBe(listed[0]?.pid)
    expect(await outputUntil(stream, 'count 2\n')).toBe('booting\nlistening\ncount 1\ncount 2\n')

    await expect(sendWhole(`${service}/crash`)).rejects.toThrow()
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'exit status 7' })
    await expect.poll(() => ready(daemon.url)).toMatchObject({ status: 503 })
    await becomesReady(daemon.url)
    expect((await sendWhole(service)).text).toBe('0\n')
    const { body } = await call(daemon.url, 'supervisor.Supervisor/Get', {})
    expect(body).toMatchObject({ status: { state: 'STATE_READY', restarts: 1, pid: expect.any(Number) } })
  })

  test('Stop ends it in its own way, Start brings it back', async () => {
    const [dir, port] = [await workDir(), await freePort()]
    await using daemon = await startIn(dir, args(port, 0))
    await becomesReady(daemon.url)
    const stream = await connect(daemon.url, { tag: 'start' })
    const { status, body } = await call(daemon.url, 'supervisor.Supervisor/Stop', {})
    expect([status, body]).toMatchObject([
      200,
      { status: { state: 'STATE_STOPPED', cause: { kind: 'KIND_REQUESTED' } } },
    ])
    const { messages } = await stream.rest()
    const text = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
    expect(text).toBe('booting\nlistening\nbye\n')
    expect(messages.at(-1)?.event.end).toMatchObject({ exited: true })
    expect(await ready(daemon.url)).toEqual({
      status: 503,
      body: { state: 'stopped', reason: 'stopped on request', output: '' },
    })
    expect((await call(daemon.url, 'supervisor.Supervisor/Start', {})).status).toBe(200)
    expect((await call(daemon.url, 'supervisor.Supervisor/Start', {})).body).toMatchObject({
      code: 'failed_precondition',
    })
    await becomesReady(daemon.url)
  })
})

describe('supervisor.Supervisor/Watch', () => {
  test('streams the present status, then each change, keepalives between, and ends with the daemon', async () => {
    const dir = await workDir()
    const startCommand = 'until [ -e go ]; do sleep 0.02; done; echo last words; exit 5'
    await using daemon = await startIn(dir, ['-start-cmd', startCommand, '-ready-cmd', 'true'])
    await becomesReady(daemon.url)
    const headers = { 'keepalive-ping-interval': '1' }
    const stream = await open<WatchJson>(daemon.url, 'supervisor.Supervisor/Watch', {}, { headers })
    expect((await stream.next()).status).toMatchObject({ state: 'STATE_READY', reason: 'ready', sequence: 3 })
    expect(await stream.next()).toEqual({ keepalive: {} })
    await writeFile(join(dir, 'go'), '')
    let message = await stream.next()
    while (message.status === undefined) message = await stream.next()
    expect(message.status).toEqual({
      service: 'start',
      state: 'STATE_FAILED',
      sequence: 4,
      since: expect.stringMatching(/^\d{4}-.*Z$/),
      reason: 'start command exited with 5',
      cause: { kind: 'KIND_EXIT', exitCode: 5 },
      output: Buffer.from('last words\n').toString('base64'),
      text: 'last words\n',
    })
    await daemon.stop()
    const { messages, end } = await stream.rest()
    expect(messages.filter(({ status }) => status !== undefined)).toEqual([])
    expect(end.error?.code).toBe('unavailable')
  })

  test.each([
    ['Connect', createConnectTransport],
    ['gRPC-Web', createGrpcWebTransport],
    ['gRPC', createGrpcTransport],
  ])('is the same in binary %s', async (_, transport) => {
    await using daemon = await startDaemon({ args: ['-isnotfc'] })
    const client = createClient(Supervisor, transport({ baseUrl: daemon.url, httpVersion: '2' }))
    expect((await client.get({})).status).toMatchObject({ state: State.READY, reason: 'ready', restarts: 0 })
    await expect(client.stop({})).rejects.toThrow('no start command is configured')
    const over = new AbortController()
    for await (const { event } of client.watch({}, { signal: over.signal })) {
      expect(event).toMatchObject({ case: 'status', value: { state: State.READY } })
      break
    }
    over.abort()
  })
})

test('without commands a daemon is ready at once, even before /init', async () => {
  await using daemon = await startDaemon()
  expect(await ready(daemon.url)).toEqual({ status: 204, body: undefined })
  expect(await list(daemon.url)).toEqual([])
})

test('K6 K16 in a microVM the start command waits for the first /init and has its user, directory and variables', async () => {
  const dir = await workDir()
  await using daemon = await startDaemon({
    args: ['-isnotfc=false'],
    env: { ENVD_START_CMD: 'pwd; echo $COLOUR; exec sleep 1000', ENVD_READY_CMD: 'true' },
  })
  expect(await ready(daemon.url)).toEqual({
    status: 503,
    body: { state: 'waiting', reason: 'waiting for the first /init', output: '' },
  })
  expect(await list(daemon.url)).toEqual([])
  const body = JSON.stringify({ envVars: { COLOUR: 'green', HOME: dir }, defaultWorkdir: dir })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
  await becomesReady(daemon.url)
  const stream = await connect(daemon.url, { tag: 'start' })
  await startedPid(stream)
  expect(await outputUntil(stream, 'green\n')).toBe(`${dir}\ngreen\n`)
})

test('A33 with a token set /ready takes it, as it shows output; /health does not', async () => {
  await using daemon = await startDaemon()
  const body = JSON.stringify({ accessToken: 'secret' })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
  expect((await ready(daemon.url)).status).toBe(401)
  expect((await ready(daemon.url, { 'x-access-token': 'secret' })).status).toBe(204)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})

test('a file sets everything, and the command runs as its user', async (context) => {
  needsNamespace(context)
  const dir = await workDir()
  const file = join(dir, 'envd.json')
  const settings = {
    isnotfc: true,
    'start-cmd': 'id -un; echo $HOME $COLOUR; pwd; exec sleep 1000',
    'ready-cmd': '[ "$(id -un)" = user ]',
    'start-user': 'user',
    'start-workdir': '/srv',
    'start-env': { COLOUR: 'red' },
  }
  await writeFile(file, JSON.stringify(settings))
  await mkdir('/srv', { recursive: true })
  await using daemon = await startDaemon({ args: ['-config', file] })
  await becomesReady(daemon.url)
  const stream = await connect(daemon.url, { tag: 'start' })
  await startedPid(stream)
  expect(await outputUntil(stream, '/srv\n')).toBe('user\n/home/user red\n/srv\n')
})

test('A7 the start command lives on after the daemon, the ready command does not; nothing is started again', async () => {
  const dir = await workDir()
  const ready = 'echo $$ >> ready; exec sleep 1000'
  const start = 'echo $$ >> start; exec sleep 1000'
  const args = ['-start-cmd', start, '-ready-cmd', ready, '-restart', 'always', '-kill-on-exit=false']
  await using daemon = await startIn(dir, args)
  const pidsIn = async (name: string) =>
    (await readFile(join(dir, name), 'utf8').catch(() => '')).split('\n').slice(0, -1)
  await expect.poll(() => pidsIn('ready')).toHaveLength(1)
  expect(await daemon.stop()).toBe(0)
  const [startPid = '', readyPid = ''] = [(await pidsIn('start'))[0], (await pidsIn('ready'))[0]]
  await expect.poll(() => readFile(`/proc/${readyPid}/cmdline`, 'utf8').catch(() => '')).toBe('')
  expect(await readFile(`/proc/${startPid}/cmdline`, 'utf8')).toContain('sleep')
  process.kill(Number(startPid), 'SIGKILL')
  expect(await pidsIn('start')).toEqual([startPid])
})

test('A7 with -kill-on-exit the start command ends with the daemon and is not started again', async () => {
  const dir = await workDir()
  const start = 'echo $$ >> start; exec sleep 1000'
  await using daemon = await startIn(dir, ['-start-cmd', start, '-ready-cmd', 'true', '-restart', 'always'])
  await becomesReady(daemon.url)
  expect(await daemon.stop()).toBe(0)
  const pids = (await readFile(join(dir, 'start'), 'utf8')).trim().split('\n')
  expect(pids).toHaveLength(1)
  await expect(readFile(`/proc/${pids[0]}/cmdline`)).rejects.toThrow()
})

test('the end of a start command stands in the log also without -verbose', async () => {
  const dir = await workDir()
  await using daemon = await startIn(dir, ['-start-cmd', 'echo SECRET; exit 9', '-ready-cmd', 'false'])
  await expect.poll(() => daemon.stdout()).toContain('start command: failed')
  const line =
    daemon
      .stdout()
      .split('\n')
      .find((text) => text.includes('start command: failed')) ?? ''
  expect(JSON.parse(line)).toMatchObject({ level: 'warn', logger: 'supervisor', cause: 'exit', exit_code: 9 })
  expect(daemon.stdout()).not.toContain('SECRET')
})
