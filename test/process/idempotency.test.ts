import { readFile } from 'node:fs/promises'
import { createClient, type Interceptor } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { describe, expect, test } from 'vitest'
import { Process } from '../../src/gen/process/process_pb.js'
import { startDaemon } from '../_util/daemon.ts'
import { asUser, type RunOptions, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { heard } from '../rpc/typed-clients.ts'
import { closeStdin, list } from './calls.ts'
import { inParallel, startedPid } from './following.ts'

const daemon = sharedDaemon()

const keyed = (key: string) => ({ headers: { 'idempotency-key': key } })
const echo = (key: string, text: string, options: RunOptions = {}) =>
  start(daemon.url, 'echo', { args: [text], ...options, headers: { ...options.headers, ...keyed(key).headers } })

describe('a start with a key', () => {
  test('is followed by a repeated one, with its output from the beginning, while it runs and after', async () => {
    const options = { args: ['-c', 'echo $$; cat'], ...keyed('runs') }
    const first = await start(daemon.url, 'sh', options)
    expect(first.headers['idempotency-replayed']).toBeUndefined()
    const pid = await startedPid(first)
    const second = await start(daemon.url, 'sh', options)
    expect(second.headers['idempotency-replayed']).toBe('true')
    await closeStdin(daemon.url, { pid })
    const third = async () => transcript(await start(daemon.url, 'sh', options))
    for (const each of [await transcript(second), await third(), await third()]) {
      expect(each).toMatchObject({ pid, end: { status: 'exit status 0' } })
      expect(each.stdout.toString()).toBe(`${pid}\n`)
    }
    await first.rest()
  })

  test('is one process however many come at the same instant', async () => {
    const streams = await Promise.all(Array.from({ length: 20 }, () => echo('at-once', 'x')))
    const heads = streams.filter(({ headers }) => headers['idempotency-replayed'] === undefined)
    expect(heads.length).toBe(1)
    const all = await Promise.all(streams.map(transcript))
    expect(new Set(all.map(({ pid }) => pid)).size).toBe(1)
    for (const { stdout } of all) expect(stdout.toString()).toBe('x\n')
  })

  test.each([
    ['another argument', { args: ['b'] }],
    ['another user', { headers: asUser('nobody') }],
    ['another tag', { tag: 'other' }],
    ['another directory', { cwd: '/tmp' }],
    ['another environment', { envs: { A: '1', B: '3' } }],
    ['no standard input', { stdin: false }],
    ['a terminal', { pty: { cols: 80, rows: 24 } }],
    ['a limit', { headers: { 'command-output-max': '4096' } }],
  ] satisfies [string, RunOptions][])('is already_exists with %s', async (what, options) => {
    const key = `differs:${what.replaceAll(' ', '-')}`
    const common = { envs: { A: '1', B: '2' } }
    const { pid } = await transcript(await echo(key, 'a', common))
    const { end } = await (await echo(key, 'a', { ...common, ...options })).rest()
    expect(end.error).toEqual({
      code: 'already_exists',
      message: 'the Idempotency-Key was used for another request',
    })
    const same = await transcript(await echo(key, 'a', { envs: { B: '2', A: '1' } }))
    expect(same.pid).toBe(pid)
  })

  test('is a start anew when the first one has failed', async () => {
    const options = { cwd: '/no/such/directory' }
    for (let i = 0; i < 2; i++) {
      const { end } = await (await echo('fails', 'x', options)).rest()
      expect(end.error?.code).toBe('invalid_argument')
    }
    expect((await transcript(await echo('fails', 'x'))).stdout.toString()).toBe('x\n')
  })

  test.each(['', 'two words', 'x'.repeat(256), 'caf\u00e9'])('is refused with the key %j', async (key) => {
    const { end } = await (await echo(key, 'x')).rest()
    expect(end.error).toEqual({
      code: 'invalid_argument',
      message: 'Idempotency-Key must be 1 to 255 visible characters of ASCII',
    })
  })

  test('lives as long as the exit is kept', async () => {
    await using brief = await startDaemon({ args: ['-keep-exits=0'] })
    const run = async () => transcript(await start(brief.url, 'true', keyed('brief')))
    const first = await run()
    await expect.poll(async () => (await run()).pid).not.toBe(first.pid)
  })
})

describe('over every protocol', () => {
  const options = () => ({ baseUrl: daemon.url, interceptors: [replayed] })
  const seen: (string | null)[] = []
  const replayed: Interceptor = (next) => async (request) => {
    const response = await next(request)
    seen.push(response.header.get('idempotency-replayed'))
    return response
  }
  const transports = {
    'Connect JSON': () => createConnectTransport({ ...options(), httpVersion: '1.1', useBinaryFormat: false }),
    'Connect binary': () => createConnectTransport({ ...options(), httpVersion: '2' }),
    gRPC: () => createGrpcTransport(options()),
    'gRPC-Web': () => createGrpcWebTransport({ ...options(), httpVersion: '1.1' }),
  }

  test.each(Object.entries(transports))('a repeated start is reported as one over %s', async (name, transport) => {
    const { process } = { process: createClient(Process, transport()) }
    const headers = { 'Idempotency-Key': name.replaceAll(' ', '-') }
    seen.length = 0
    const command = { cmd: 'sh', args: ['-c', 'echo out; echo err >&2'], envs: { A: '1', B: '2' } }
    const first = await heard(process.start({ process: command }, { headers }))
    const again = { ...command, envs: { B: '2', A: '1' } }
    expect(await heard(process.start({ process: again }, { headers }))).toEqual(first)
    expect(first).toMatchObject({ stdout: 'out\n', stderr: 'err\n', status: 'exit status 0' })
    expect(seen).toEqual([null, 'true'])
  })
})

test('1,000 starts that are each repeated run 1,000 processes', async () => {
  await using directory = await makeTmpDir()
  const log = `${directory.path}/log`
  const pids = new Set<number>()
  await inParallel(1_000, 16, async (index) => {
    const options = { args: ['-c', 'echo $1 >> $0', log, String(index)], ...keyed(`retried-${index}`) }
    const attempts = await Promise.all([start(daemon.url, 'sh', options), start(daemon.url, 'sh', options)])
    const first = await startedPid(attempts[0])
    attempts[0].close()
    const second = await transcript(attempts[1])
    const third = await transcript(await start(daemon.url, 'sh', options))
    expect([second.pid, third.pid]).toEqual([first, first])
    expect([second.end?.status, third.end?.status]).toEqual(['exit status 0', 'exit status 0'])
    pids.add(first)
  })
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n').map(Number)
  expect(lines.sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, index) => index))
  expect(await list(daemon.url)).toEqual([])
}, 120_000)
