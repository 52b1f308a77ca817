import { createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { describe, expect, test } from 'vitest'
import { Process } from '../../src/gen/process/process_pb.js'
import { commonDaemon } from '../_util/common-daemon.ts'
import { startDaemon } from '../_util/daemon.ts'
import { open, type ProcessMessage, shell, start, transcript } from '../_util/rpc.ts'
import { closeStdin, connect, type Selector, sendInput } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'

const daemon = commonDaemon()

interface Offsets {
  readonly stdout?: number
  readonly stderr?: number
  readonly pty?: number
}

const resume = (url: string, process: Selector, resumeFrom: Offsets) =>
  open<ProcessMessage>(url, 'process.Process/Connect', { process, resumeFrom })

describe('N22 offsets on the wire', () => {
  test('N22 a start begins at 0, and data says where in its own stream it begins', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'read a; echo err >&2; read b; echo out'] })
    const { event } = await stream.next()
    const pid = event.start?.pid ?? 0
    expect(event).toEqual({ start: { pid, offsets: {} } })
    await sendInput(daemon.url, { pid }, { stdin: '\n' })
    expect((await stream.next()).event.data).toMatchObject({ offset: '0', stderr: expect.any(String) })
    await sendInput(daemon.url, { pid }, { stdin: '\n' })
    expect((await stream.next()).event.data).toMatchObject({ offset: '0', stdout: expect.any(String) })
    await stream.rest()
  })

  test('N22 a plain Connect begins at the position of each stream', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'echo error >&2; echo out; cat'] })
    const pid = await startedPid(stream)
    let seen = 0
    while (seen < 10) seen += dataOf(await stream.next()).length
    const follower = await connect(daemon.url, { pid })
    expect((await follower.next()).event).toEqual({ start: { pid, offsets: { stdout: '4', stderr: '6' } } })
    await sendInput(daemon.url, { pid }, { stdin: 'more' })
    expect((await follower.next()).event.data).toMatchObject({ offset: '4' })
    await closeStdin(daemon.url, { pid })
    await follower.rest()
  })

  test('N22 a terminal counts what it shows', async () => {
    const { pid, pty } = await shell(daemon.url, 'printf 0123456789', { pty: { cols: 80, rows: 24 } })
    const again = await transcript(await resume(daemon.url, { pid }, { pty: 4 }))
    expect(again.pty.toString()).toBe(pty.subarray(4).toString())
  })

  test('N22 with -output-resume=false nothing is said of offsets, and nothing resumed', async () => {
    await using plain = await startDaemon({ args: ['-output-resume=false'] })
    const { messages } = await (await start(plain.url, 'echo', { args: ['x'] })).rest()
    const pid = messages[0]?.event.start?.pid ?? 0
    expect(messages.slice(0, 2)).toEqual([
      { event: { start: { pid } } },
      { event: { data: { stdout: Buffer.from('x\n').toString('base64') } } },
    ])
    const { end } = await (await resume(plain.url, { pid }, {})).rest()
    expect(end.error).toEqual({ code: 'unimplemented', message: 'output cannot be resumed: -output-resume=false' })
  })
})

test('J1 N22 the first Python clients, which fail on what they do not know, get no offsets, also beside others', async () => {
  const headers = { 'user-agent': 'connect-python' }
  const stream = await start(daemon.url, 'cat', { headers })
  const { event } = await stream.next()
  const pid = event.start?.pid ?? 0
  expect(event).toEqual({ start: { pid } })
  const others = await Promise.all([{}, { headers }, {}].map((options) => connect(daemon.url, { pid }, options)))
  await Promise.all(others.map(startedPid))
  await sendInput(daemon.url, { pid }, { stdin: 'x' })
  const stdout = Buffer.from('x').toString('base64')
  const got = await Promise.all([stream, ...others].map(async (each) => (await each.next()).event.data))
  expect(got).toEqual([{ stdout }, { stdout, offset: '0' }, { stdout }, { stdout, offset: '0' }])
  await closeStdin(daemon.url, { pid })
  await stream.rest()
})

describe('N22 N23 a resumed stream begins at exactly the byte that was asked for', () => {
  test('N23 of a process that runs: what is kept, then what comes, in both streams', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'printf 12345 >&2; printf abcdef; cat'] })
    const pid = await startedPid(stream)
    let seen = 0
    while (seen < 11) seen += dataOf(await stream.next()).length
    stream.close()
    const resumed = await resume(daemon.url, { pid }, { stdout: 2, stderr: 5 })
    expect((await resumed.next()).event).toEqual({ start: { pid, offsets: { stdout: '2', stderr: '5' } } })
    const first = await resumed.next()
    expect(first.event.data).toEqual({ stdout: Buffer.from('cdef').toString('base64'), offset: '2' })
    await sendInput(daemon.url, { pid }, { stdin: 'more' })
    expect(await outputUntil(resumed, 'more')).toBe('more')
    await closeStdin(daemon.url, { pid })
    expect((await resumed.rest()).messages.at(-1)?.event.end?.status).toBe('exit status 0')
  })

  test('N23 of a process that has ended, at every byte, also beside others that read', async () => {
    const { pid } = await shell(daemon.url, 'printf abc; printf 123 >&2; sleep 0.05; printf def; exit 3')
    const at = (stdout: number, stderr: number) => resume(daemon.url, { pid }, { stdout, stderr }).then(transcript)
    for (let stdout = 0; stdout <= 6; stdout++) {
      const answers = await Promise.all([0, 1, 2, 3].map((stderr) => at(stdout, stderr)))
      for (const [stderr, answer] of answers.entries()) {
        expect(answer.stdout.toString()).toBe('abcdef'.slice(stdout))
        expect(answer.stderr.toString()).toBe('123'.slice(stderr))
        expect(answer.end?.status).toBe('exit status 3')
      }
    }
  })

  test('N22 beyond what was produced it is invalid_argument, of a process that runs and of one that has ended', async () => {
    const { pid } = await shell(daemon.url, 'printf abc')
    const { end } = await (await resume(daemon.url, { pid }, { stdout: 4 })).rest()
    expect(end.error).toEqual({
      code: 'invalid_argument',
      message: 'stdout has 3 bytes, offset 4 is beyond them',
    })
    const live = await start(daemon.url, 'cat')
    const runs = await startedPid(live)
    for (const offsets of [{ stderr: 1 }, { pty: 1 }, { stdout: Number.MAX_SAFE_INTEGER }]) {
      const { end: refused } = await (await resume(daemon.url, { pid: runs }, offsets)).rest()
      expect(refused.error?.code).toBe('invalid_argument')
    }
    await closeStdin(daemon.url, { pid: runs })
  })

  test.each([
    ['stdout', '-1'],
    ['stdout', 'soon'],
    ['stderr', 1.5],
    ['pty', '18446744073709551616'],
  ])('N22 %s of %s is invalid_argument', async (stream, offset) => {
    const { pid } = await shell(daemon.url, 'true')
    const message = { process: { pid }, resumeFrom: { [stream]: offset } }
    const { end } = await (await open(daemon.url, 'process.Process/Connect', message)).rest()
    expect(end.error?.code).toBe('invalid_argument')
  })

  test('N22 what has left the window is out_of_range, and the text has the oldest offset', async () => {
    await using small = await startDaemon({ args: ['-output-window=65536'] })
    const stream = await start(small.url, '/bin/sh', { args: ['-c', 'head -c 300000 /dev/zero; echo done >&2; cat'] })
    const pid = await startedPid(stream)
    let seen = ''
    while (!seen.includes('done')) {
      const message = await stream.next()
      if (message.event.data?.stderr !== undefined) seen += dataOf(message)
    }
    const { end } = await (await resume(small.url, { pid }, { stdout: 10 })).rest()
    expect(end.error?.code).toBe('out_of_range')
    const oldest = /^stdout is kept from offset (\d+) on, offset 10 has left the window$/.exec(
      end.error?.message ?? '',
    )?.[1]
    const resumed = await resume(small.url, { pid }, { stdout: Number(oldest), stderr: 0 })
    expect((await resumed.next()).event.start).toEqual({ pid, offsets: { stdout: oldest } })
    await closeStdin(small.url, { pid })
    const { messages } = await resumed.rest()
    const rest = messages.filter(({ event }) => event.data?.stdout !== undefined).map(dataOf)
    expect(Buffer.concat(rest).length).toBe(300_000 - Number(oldest))
    const { end: before } = await (await resume(small.url, { pid }, { stdout: Number(oldest) - 1 })).rest()
    expect(before.error?.code).toBe('out_of_range')
  })
})

describe('N22 every protocol', () => {
  const transports = {
    'Connect JSON': () => createConnectTransport({ baseUrl: daemon.url, httpVersion: '1.1', useBinaryFormat: false }),
    'Connect binary': () => createConnectTransport({ baseUrl: daemon.url, httpVersion: '2' }),
    gRPC: () => createGrpcTransport({ baseUrl: daemon.url }),
    'gRPC-Web': () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '1.1' }),
  }

  test.each(Object.entries(transports))('N22 resumes over %s, from 30 positions', async (_, transport) => {
    const { process } = { process: createClient(Process, transport()) }
    const command = { cmd: 'sh', args: ['-c', 'seq 100 200; seq 10 19 >&2; head -c 70000 /dev/zero; exit 4'] }
    const heard = await read(process.start({ process: command }))
    expect(heard.offsets).toMatchObject({ stdout: 0n, stderr: 0n, pty: 0n })
    expect(heard.stdout.length).toBe(101 * 4 + 70_000)
    const connecting = (resumeFrom: { stdout: bigint; stderr: bigint }) =>
      read(process.connect({ process: { selector: { case: 'pid', value: heard.pid } }, resumeFrom }))
    for (let at = 0; at < 30; at++) {
      const again = await connecting({ stdout: BigInt(at * 7), stderr: BigInt(at) })
      expect(again.stdout.equals(heard.stdout.subarray(at * 7))).toBe(true)
      expect(again.stderr.equals(heard.stderr.subarray(at))).toBe(true)
      expect(again.offsets).toMatchObject({ stdout: BigInt(at * 7), stderr: BigInt(at), pty: 0n })
      expect(again.status).toBe('exit status 4')
    }
    await expect(connecting({ stdout: 70_405n, stderr: 0n })).rejects.toThrow('is beyond them')
  })
})

type Events = ReturnType<ReturnType<typeof createClient<typeof Process>>['start']>

/** Reads a stream to its end; throws if data is not where its offset says. */
async function read(responses: Events | ReturnType<ReturnType<typeof createClient<typeof Process>>['connect']>) {
  const output = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[], pty: [] as Uint8Array[] }
  let next = { stdout: 0n, stderr: 0n, pty: 0n }
  let [pid, status] = [0, '']
  let offsets: unknown
  for await (const { event } of responses) {
    const reported = event?.event
    if (reported?.case === 'start') {
      pid = reported.value.pid
      offsets = reported.value.offsets
      next = { stdout: 0n, stderr: 0n, pty: 0n, ...reported.value.offsets }
    }
    if (reported?.case === 'end') status = reported.value.status
    if (reported?.case !== 'data' || reported.value.output.case === undefined) continue
    const { case: stream, value } = reported.value.output
    if (reported.value.offset !== next[stream])
      throw new Error(`${stream} at ${reported.value.offset}, not ${next[stream]}`)
    next[stream] += BigInt(value.length)
    output[stream].push(value)
  }
  return { pid, status, offsets, stdout: Buffer.concat(output.stdout), stderr: Buffer.concat(output.stderr) }
}
