import { mkdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkedLimits, limitsOfHeaders } from '../../src/process/limits.ts'
import { makeCgroupRoot } from '../_util/cgroup.ts'
import { startDaemon } from '../_util/daemon.ts'
import { grpc, grpcWeb } from '../_util/grpc.ts'
import { sendWhole } from '../_util/http.ts'
import { needsCgroups } from '../_util/namespace.ts'
import { enveloped, shell, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { list } from './calls.ts'

const daemon = sharedDaemon({ args: ['-no-cgroups', '-allow-origin', 'https://example.com'] })

function limitsOf(headers: Record<string, string>) {
  return limitsOfHeaders((name) => headers[name])
}

/** How a start with these headers fails. */
async function refusal(url: string, headers: Record<string, string>, tag?: string) {
  const stream = await start(url, 'true', { headers, ...(tag === undefined ? {} : { tag }) })
  const { messages, end } = await stream.rest()
  expect(messages).toEqual([])
  return end.error
}

test('the headers of a start are its limits', () => {
  expect(limitsOf({})).toEqual({})
  expect(
    limitsOf({
      'command-memory-max': '268435456',
      'command-pids-max': ' 64 ',
      'command-cpu-max': '1.5',
      'command-output-max': '65536',
    }),
  ).toEqual({ memoryMax: 2 ** 28, pidsMax: 64, cpuMax: 1.5, outputMax: 65_536 })
})

const BAD: readonly [string, string][] = [
  ...['', '0', '-1', '1e9', '0x100000', '1048575', '10M', '1048576, 1048576', '9007199254740992', '٣'].map(
    (value): [string, string] => ['command-memory-max', value],
  ),
  ...['', '0', '-1', '1.5', '4194305', 'max'].map((value): [string, string] => ['command-pids-max', value]),
  ...['', '0', '0.009', '.5', '1.', '1.2345', '8193', '1e1', '-1', 'NaN', 'Infinity'].map((value): [string, string] => [
    'command-cpu-max',
    value,
  ]),
  ...['', '0', '1023', '4194305', '1024.5', 'all'].map((value): [string, string] => ['command-output-max', value]),
]

test.each(BAD)('%s: "%s" is refused', (name, value) => {
  expect(() => limitsOf({ [name]: value })).toThrow(expect.objectContaining({ kind: 'invalid_argument' }))
})

test('limits that come as numbers have the same ranges', () => {
  const limits = { memoryMax: 2 ** 20, pidsMax: 1, cpuMax: 0.01, outputMax: 1024 }
  expect(checkedLimits(limits)).toBe(limits)
  for (const bad of [{ memoryMax: 2 ** 20 - 1 }, { pidsMax: 1.5 }, { cpuMax: Number.NaN }, { outputMax: -1 }])
    expect(() => checkedLimits(bad)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }))
})

test('garbage is invalid_argument in every protocol, and nothing is started', async () => {
  const { url } = daemon
  const headers = { 'command-pids-max': 'many' }
  const message = 'Command-Pids-Max must be a number of processes from 1 to 4194304'
  expect(await refusal(url, headers)).toEqual({ code: 'invalid_argument', message })
  const body = enveloped(Buffer.from(JSON.stringify({ process: { cmd: 'true' } })))
  const request = { method: 'process.Process/Start', codec: '+json', headers, body }
  expect(await grpc(url, request)).toEqual({ status: 3, message })
  expect(await grpcWeb(url, request)).toEqual({ status: 3, message })
  expect(await list(url)).toEqual([])
})

test.each(['command-memory-max', 'command-pids-max', 'command-cpu-max'])(
  'without cgroups %s is refused, and the answer says why',
  async (name) => {
    expect(await refusal(daemon.url, { [name]: '2097152'.slice(0, name === 'command-memory-max' ? 7 : 1) })).toEqual({
      code: 'failed_precondition',
      message: 'limits of a command need a cgroup of its own: there are no cgroups (switched off)',
    })
    expect(await list(daemon.url)).toEqual([])
  },
)

test('a cgroup2 without the controller is refused, and says which is missing', async (context) => {
  needsCgroups(context)
  await using root = makeCgroupRoot()
  if (root.read('cgroup.controllers') !== '') context.skip('the controllers are there')
  await using other = await startDaemon({ args: ['-cgroup-root', root.path] })
  const headers = { 'command-memory-max': '1048576', 'command-cpu-max': '1' }
  expect(await refusal(other.url, headers)).toEqual({
    code: 'failed_precondition',
    message: `limits of a command need a cgroup of its own: ${root.path}/user has no controller memory, cpu`,
  })
  expect(root.groups()).toEqual(['ptys', 'socats', 'user'])
})

test('there are only so many cgroups of commands at a time', async (context) => {
  needsCgroups(context)
  await using root = makeCgroupRoot()
  await using other = await startDaemon({ args: ['-cgroup-root', root.path] })
  for (let number = 0; number < 1024; number++) mkdirSync(`${root.path}/user/command.${number}`)
  expect(await refusal(other.url, { 'command-pids-max': '9' })).toEqual({
    code: 'resource_exhausted',
    message: `${root.path}/user has 1024 cgroups already`,
  })
  expect((await shell(other.url, 'true')).end).toMatchObject({ exited: true })
})

test('a command with the tag _system has no cgroup of its own', async () => {
  expect(await refusal(daemon.url, { 'command-pids-max': '9' }, '_system')).toMatchObject({
    code: 'failed_precondition',
  })
})

test('an output limit takes no cgroup: beginning and end come, and how much is left out', async () => {
  const { stdout, stderr, end } = await shell(daemon.url, 'seq 100000; echo small >&2', {
    headers: { 'command-output-max': '2048' },
  })
  const all = Buffer.from(Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join(''))
  const line = `\n[${all.length - 2048} bytes of output left out]\n`
  expect(stdout.toString()).toBe(`${all.subarray(0, 1024)}${line}${all.subarray(-1024)}`)
  expect(stderr.toString()).toBe('small\n')
  expect(end).toEqual({ exited: true, status: 'exit status 0' })
})

test('an output limit holds in a terminal, and for a command that ends by a kill', async () => {
  const headers = { 'command-output-max': '1024' }
  const { pty } = await shell(daemon.url, 'seq 10000', { headers, pty: { cols: 80, rows: 24 } })
  expect(pty.toString()).toMatch(/\r\n\[\d+ bytes of output left out\]\r\n[\s\S]*\r\n10000\r\n$/)
  const killed = await shell(daemon.url, 'seq 10000; kill -9 $$', { headers })
  expect(killed.stdout.toString()).toMatch(/\n\[47870 bytes of output left out\]\n[\s\S]*\n10000\n$/)
  expect(killed.end?.status).toBe('signal: killed')
})

test('a page of another origin may send the headers', async () => {
  const answer = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://example.com',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'command-memory-max,command-output-max',
    },
  })
  expect(answer.headers['access-control-allow-headers']).toBe('command-memory-max,command-output-max')
})
