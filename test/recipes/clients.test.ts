import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { dial } from './grpc-client.ts'
import { DAEMON_PORT, reasonOf } from './proxies.ts'

const run = promisify(execFile)
const project = fileURLToPath(new URL('../..', import.meta.url))
const recipe = (name: string) => `${project}scripts/recipes/${name}`
const proto = `${project}proto`

let daemon: Daemon
beforeEach(async (context) => {
  needsNamespace(context)
  daemon = await startDaemon({ port: DAEMON_PORT })
})
afterEach(() => daemon?.[Symbol.asyncDispose]())

const spoken = (language: string) =>
  ['0 hello from Linux', '', `written by ${language}`, '1', '2', '3', '0', ''].join('\n')

test('the recipe for JavaScript does what it says', async () => {
  const env = { ...process.env, E2B_DEBUG: 'true' }
  const { stdout } = await run(process.execPath, [recipe('javascript.mjs')], { env })
  expect(stdout).toBe(spoken('JavaScript'))
})

test('the recipe for Python does what it says', async (context) => {
  const python = `${project}.cache/python/latest/bin/python`
  if (!existsSync(python)) context.skip(reasonOf('latest'))
  expect((await run(python, [recipe('python.py')])).stdout).toBe(spoken('Python'))
})

test('the recipe for curl does what it says', async () => {
  const { stdout } = await run('sh', [recipe('curl.sh')])
  const [written = '', read, looked = '', said, listed = ''] = stdout.trim().split('\n')
  expect(JSON.parse(written)).toMatchObject([{ path: '/tmp/greeting.txt' }])
  expect(read).toBe('written by curl')
  expect(JSON.parse(looked)).toMatchObject({ entry: { size: '15' } })
  expect(said).toBe('hello from Linux')
  expect(JSON.parse(listed)).toEqual({})
})

test('the recipe for gRPC clients does what it says', async () => {
  const { stdout } = await run(process.execPath, [recipe('grpc.mjs')])
  expect(stdout).toBe('hello from Linux\nexit status 0\n')
})

test('every service can be called with nothing but its proto file', async () => {
  const target = `127.0.0.1:${DAEMON_PORT}`
  const ask = async (name: string, service: string, method: string, message: object) => {
    using client = dial(name, service, target)
    return await client.unary(method, message)
  }
  expect(await ask('process', 'Process', 'List', {})).toEqual({})
  expect(await ask('filesystem', 'Filesystem', 'Stat', { path: '/etc' })).toMatchObject({ entry: { name: 'etc' } })
  expect(await ask('metrics', 'Metrics', 'Get', {})).toMatchObject({ sample: {} })
  expect(await ask('supervisor', 'Supervisor', 'Get', {})).toMatchObject({})
  expect(await ask('ports', 'Ports', 'List', {})).toMatchObject({})
})

test.each(['connect', 'grpc', 'grpcweb'])('buf curl runs a command over %s', async (protocol) => {
  const message = JSON.stringify({ process: { cmd: '/bin/sh', args: ['-c', 'echo hello; exit 3'] }, stdin: false })
  const words = ['curl', '--schema', proto, '--protocol', protocol, '--http2-prior-knowledge', '-d', message]
  const { stdout } = await run('buf', [...words, `http://localhost:${DAEMON_PORT}/process.Process/Start`])
  const events: unknown[] = JSON.parse(`[${stdout.trim().replaceAll(/\}\s*\{/g, '},{')}]`)
  expect(events).toMatchObject([
    { event: { start: { pid: expect.any(Number), offsets: {} } } },
    { event: { data: { stdout: Buffer.from('hello\n').toString('base64'), offset: '0' } } },
    { event: { end: { exitCode: 3 } } },
  ])
})
