import { type Client, Code, createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { beforeAll, describe, expect, test } from 'vitest'
import { Jobs, Signal, State } from '../../src/gen/jobs/v1/jobs_pb.js'
import { Process } from '../../src/gen/process/process_pb.js'
import { collected } from '../_util/collected.ts'
import { call, open, type ProcessMessage, pidOf, shell, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { TerminalClient } from '../terminals/terminal-client.ts'

const daemon = sharedDaemon()
let jobs: Client<typeof Jobs>

beforeAll(() => {
  jobs = createClient(Jobs, createConnectTransport({ baseUrl: daemon.url, httpVersion: '2' }))
})

const byPid = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } })
const byTag = (value: string) => ({ selector: { case: 'tag' as const, value } })
const begin = async (command: string, options: object = {}) =>
  pidOf(await start(daemon.url, 'sh', { args: ['-c', command], ...options }))
const terminals = (method: string, message: object) => call(daemon.url, `terminals.v1.Terminals/${method}`, message)
const size = (columns: number, rows: number) => ({ columns, rows })

/** The error that ends a stream of Connect. */
const refusal = async (pid: number, resumeFrom: object) => {
  const stream = await open<ProcessMessage>(daemon.url, 'process.Process/Connect', { process: { pid }, resumeFrom })
  return (await stream.rest()).end.error
}

describe('resume', () => {
  test.each([{ stdout: '-1' }, { stdout: 'x' }, { stdout: '1.5' }, { stdout: '18446744073709551616' }])(
    'N22 offsets that are no offsets are invalid: %j',
    async (offsets) => {
      const { pid } = await shell(daemon.url, 'echo one')
      expect(await refusal(pid, offsets)).toMatchObject({ code: 'invalid_argument' })
    },
  )

  test('N22 beyond 2^53 is beyond what was produced; exactly the end, of a process that has ended, is the end alone', async () => {
    const { pid } = await shell(daemon.url, 'echo one; exit 5')
    for (const stdout of ['9007199254740993', '18446744073709551615'])
      expect(await refusal(pid, { stdout })).toMatchObject({ code: 'invalid_argument' })
    expect(await refusal(pid, { stdout: '5' })).toMatchObject({ code: 'invalid_argument' })
    const stream = await open<ProcessMessage>(daemon.url, 'process.Process/Connect', {
      process: { pid },
      resumeFrom: { stdout: '4' },
    })
    const { messages } = await stream.rest()
    expect(messages.map(({ event }) => Object.keys(event)[0]).filter((kind) => kind !== 'keepalive')).toEqual([
      'start',
      'end',
    ])
  })

  test('N22 two resumes at once have both all of it', async () => {
    const pid = await begin('seq 1 5000; read line; seq 5001 6000')
    const read = async (stdout: string) => {
      const stream = await open<ProcessMessage>(daemon.url, 'process.Process/Connect', {
        process: { pid },
        resumeFrom: { stdout },
      })
      const { messages } = await stream.rest()
      return messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
    }
    await expect.poll(async () => (await jobs.get({ job: byPid(pid) })).job?.outputBytes).toBe(23_893n)
    const both = Promise.all([read('0'), read('23893')])
    await jobs.write({ job: byPid(pid), data: Buffer.from('\n') })
    const rest = Array.from({ length: 1000 }, (_, index) => `${5001 + index}\n`).join('')
    const [whole, end] = await both
    expect(end).toBe(rest)
    expect(whole).toBe(`${Array.from({ length: 5000 }, (_, index) => `${1 + index}\n`).join('')}${rest}`)
  })
})

test.each(['', 'ünïcödé 日本 🙂', ' ', 'a/b?c=d', '\u0000'])('the tag %j names its newest job', async (tag) => {
  await shell(daemon.url, 'exit 1', { tag })
  const { pid } = await shell(daemon.url, 'exit 2', { tag })
  expect((await jobs.get({ job: byTag(tag) })).job).toMatchObject({ pid, tag, exitCode: 2 })
  expect((await jobs.list({ filter: { tag } })).jobs.map((job) => job.pid)).toEqual([pid])
})

test.each([
  ['Connect', createConnectTransport],
  ['gRPC', createGrpcTransport],
  ['gRPC-Web', createGrpcWebTransport],
] as const)('pairs of starts with one key at the same instant are one process over %s', async (name, transport) => {
  const processes = createClient(Process, transport({ baseUrl: daemon.url, httpVersion: '2' }))
  const one = async (key: string) => {
    const headers = { 'Idempotency-Key': key }
    let replayed: string | null = null
    let [pid, output, ends] = [0, '', 0]
    const config = { process: { cmd: 'sh', args: ['-c', 'echo $$; exit 3'] } }
    const onHeader = (answer: Headers) => {
      replayed = answer.get('idempotency-replayed')
    }
    for await (const { event } of processes.start(config, { headers, onHeader })) {
      const inner = event?.event
      if (inner?.case === 'start') pid = inner.value.pid
      if (inner?.case === 'data' && inner.value.output.case === 'stdout')
        output += Buffer.from(inner.value.output.value)
      if (inner?.case === 'end') ends++
    }
    return { pid, output, ends, replayed }
  }
  for (let round = 0; round < 20; round++) {
    const key = `${name}-${round}`
    const [first, second] = await Promise.all([one(key), one(key)])
    expect(first).toMatchObject({ output: `${first.pid}\n`, ends: 1 })
    expect(second).toMatchObject({ pid: first.pid, output: `${first.pid}\n`, ends: 1 })
    expect([first.replayed, second.replayed].sort()).toEqual([null, 'true'].sort())
  }
})

test.each(['k', 'k'.repeat(255), '!~'])('a key of visible characters is taken: %s', async (key) => {
  const { pid } = await shell(daemon.url, 'exit 0', { headers: { 'idempotency-key': key } })
  expect((await jobs.get({ job: { selector: { case: 'key', value: key } } })).job?.pid).toBe(pid)
})

test.each(['k'.repeat(256), 'a b', 'a\tb', 'ä'])('any other is refused: %s', async (key) => {
  const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') }
  const stream = await start(daemon.url, 'true', { headers })
  expect((await stream.rest()).end.error).toMatchObject({ code: 'invalid_argument' })
})

test('Read that follows a job which ends at that moment has all output and its end', async () => {
  for (let round = 0; round < 30; round++) {
    const pid = await begin('echo one; echo two >&2; exit 7')
    const messages = await collected(jobs.read({ job: byPid(pid), follow: true }))
    const text = messages.map(({ event }) =>
      event.case === 'data' ? Buffer.from(event.value.output.value ?? []).toString() : '',
    )
    expect(text.join('')).toMatch(/^(one\ntwo\n|two\none\n)$/)
    expect(messages.at(-1)?.event).toMatchObject({ case: 'end', value: { state: State.ENDED, exitCode: 7 } })
  }
})

describe('terminals', () => {
  test('Attach while it is closed ends with its end, or finds none', async () => {
    for (let round = 0; round < 20; round++) {
      const name = `closing-${round}`
      const first = await TerminalClient.open(daemon.url, 'Open', { name, command: 'cat' })
      const closing = terminals('Close', { terminal: { name } })
      const stream = await open<{ end?: object }>(daemon.url, 'terminals.v1.Terminals/Attach', { terminal: { name } })
      const { messages, end } = await stream.rest()
      const code = (end.error as { code?: string } | undefined)?.code
      if (code === undefined) expect(messages.at(-1)?.end).toBeDefined()
      else expect(code).toBe('not_found')
      expect((await closing).status).toBe(200)
      await first.until(() => first.end !== undefined)
    }
  })

  test('the largest size is taken, none is refused', async () => {
    const largest = size(65_535, 65_535)
    // Read as it comes: an emulator of that size would take all memory.
    const stream = await open<{ attached?: { client: number }; output?: { data: string } }>(
      daemon.url,
      'terminals.v1.Terminals/Open',
      { name: 'largest', command: 'sh', args: ['-c', 'stty size; exec cat'], size: largest },
    )
    const client = (await stream.next()).attached?.client
    let shown = ''
    while (!shown.includes('65535 65535')) shown += Buffer.from((await stream.next()).output?.data ?? '', 'base64')
    for (const none of [size(0, 0), size(1, 0), size(65_536, 1)]) {
      const request = { terminal: { name: 'largest' }, client, size: none }
      expect((await terminals('Resize', request)).body).toMatchObject({ code: 'invalid_argument' })
    }
    stream.close()
    await terminals('Close', { terminal: { name: 'largest' } })
  })

  test('a takeover during input lets pass what was written before, and nothing of the other after it', async () => {
    const first = await TerminalClient.open(daemon.url, 'Open', {
      name: 'during',
      command: 'sh',
      args: ['-c', 'stty -echo; echo up; cat'],
    })
    await first.until(() => first.text().includes('up'))
    const write = (client: number, text: string) =>
      terminals('Write', { terminal: { name: 'during' }, client, data: Buffer.from(text).toString('base64') })
    let accepted = 0
    let refused = false
    const writing = (async () => {
      while (!refused) {
        const { status } = await write(first.attached.client, `line ${accepted}\n`)
        if (status === 200) accepted++
        else refused = true
      }
    })()
    await expect.poll(() => accepted).toBeGreaterThan(5)
    const second = await TerminalClient.open(daemon.url, 'Attach', { terminal: { name: 'during' }, takeover: true })
    await writing
    expect((await write(second.attached.client, 'mine\n')).status).toBe(200)
    await first.until(() => first.text().includes('mine'))
    const lines = first
      .output()
      .toString()
      .split('\r\n')
      .filter((line) => line.startsWith('line '))
    expect(lines).toEqual(Array.from({ length: accepted }, (_, index) => `line ${index}`))
    for (const client of [first, second]) client.close()
    await terminals('Close', { terminal: { name: 'during' } })
  })

  test('the smallest window counts also while its client takes nothing', async () => {
    const first = await TerminalClient.open(daemon.url, 'Open', {
      name: 'stalled',
      command: 'sh',
      args: ['-c', "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"],
      size: size(80, 24),
    })
    const stalled = await open(daemon.url, 'terminals.v1.Terminals/Attach', {
      terminal: { name: 'stalled' },
      size: size(50, 10),
      resizePolicy: 'RESIZE_POLICY_SMALLEST',
    })
    await first.until(() => first.text().includes('10 50'))
    stalled.close()
    await first.until(() => first.text().includes('24 80'))
    first.close()
    await terminals('Close', { terminal: { name: 'stalled' } })
  })
})

test('negative and garbage offsets of Read and Write are refused', async () => {
  const pid = await begin('cat')
  for (const offset of ['-1', 'x', '1e3x', '18446744073709551616']) {
    expect((await call(daemon.url, 'jobs.v1.Jobs/Write', { job: { pid }, data: 'eA==', offset })).body).toMatchObject({
      code: 'invalid_argument',
    })
    const read = await open(daemon.url, 'jobs.v1.Jobs/Read', { job: { pid }, from: { stdout: offset } })
    expect((await read.rest()).end.error).toMatchObject({ code: 'invalid_argument' })
  }
  await expect(jobs.write({ job: byPid(pid), offset: 2n ** 63n, data: Uint8Array.of(1) })).rejects.toMatchObject({
    code: Code.InvalidArgument,
  })
  await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL })
})
