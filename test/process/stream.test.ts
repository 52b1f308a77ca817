import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { describe, expect, test, vi } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, type RunOptions, shell, start, transcript } from '../_util/rpc.ts'
import { connect, kill, list } from './calls.ts'
import { dataOf, outputUntil, startedPid } from './following.ts'
import { alive } from './proc.ts'

const daemon = commonDaemon()
const versions = [{ http2: false }, { http2: true }]

describe.each(versions)('with $http2 for HTTP/2', ({ http2 }) => {
  const run = (command: string, options?: RunOptions) => shell(daemon.url, command, { http2, ...options })

  test('D15 start comes first, then the output, then one end, then the end of the stream', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'echo out; echo err >&2'], http2 })
    expect(stream.headers['content-type']).toBe('application/connect+json')
    const { messages, end } = await stream.rest()
    const kinds = messages.map(({ event }) => Object.keys(event).join())
    expect(kinds).toEqual(['start', 'data', 'data', 'end'])
    expect(end).toEqual({})
  })

  test('D17 bytes are bytes: NUL, CR, blank lines, every value, no line end at the end', async () => {
    const { stdout } = await run("printf 'a\\n\\nb\\r50%%\\r\\000c\\n'")
    expect(stdout.toString('latin1')).toBe('a\n\nb\r50%\r\0c\n')
    const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
    const octal = Array.from(every, (value) => `\\${value.toString(8).padStart(3, '0')}`).join('')
    expect((await run(`printf '${octal}'`)).stdout).toEqual(every)
  })

  test('D17 a line of 10 MB arrives whole', async () => {
    const { stdout } = await run("head -c 10000000 /dev/zero | tr '\\000' x")
    expect(stdout.equals(Buffer.alloc(10_000_000, 'x'))).toBe(true)
  })

  test('D16 each of two streams is in order', async () => {
    const { stdout, stderr } = await run('i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo $i; echo $i >&2; done')
    const expected = Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`).join('')
    expect(stdout.toString()).toBe(expected)
    expect(stderr.toString()).toBe(expected)
  })

  test('D21 a client that goes away kills nothing, and Connect finds the process', async () => {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'while sleep 0.05; do echo tick; done'], http2 })
    const pid = await startedPid(stream)
    await outputUntil(stream, 'tick')
    stream.close()
    const again = await connect(daemon.url, { pid }, { http2 })
    expect(await startedPid(again)).toBe(pid)
    await outputUntil(again, 'tick\ntick\n')
    await kill(daemon.url, { pid })
    expect((await again.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
  })

  test('D21 a client that goes before it has the start event kills nothing either', async () => {
    const tag = `gone-early-${http2}`
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController()
      const starting = start(daemon.url, 'sleep', { args: ['300'], tag, http2, signal: controller.signal })
      const gone = once(controller.signal, 'abort')
      setTimeout(() => controller.abort(), i / 2)
      await Promise.race([gone, starting.then((stream) => stream.rest()).catch(() => gone)])
    }
    const ours = (await list(daemon.url)).filter((process) => process.tag === tag)
    for (const { pid } of ours) {
      expect(await alive(pid)).toBe(true)
      await kill(daemon.url, { pid })
    }
  })
})

test('D15 the start event does not wait for output', async () => {
  const stream = await start(daemon.url, 'sleep', { args: ['300'] })
  const pid = await startedPid(stream)
  await kill(daemon.url, { pid })
  await stream.rest()
})

test('D16 500 KB on each stream, mixed, are all there', async () => {
  const noise = 'head -c 500000 /dev/urandom'
  const sum = 'sha256sum | cut -d" " -f1'
  const { stdout, stderr, end } = await shell(
    daemon.url,
    `${noise} | tee /dev/stderr | ${sum} & wait; ${noise} 2>&1 >/dev/null`,
  )
  expect(end).toMatchObject({ status: 'exit status 0' })
  expect(createHash('sha256').update(stderr).digest('hex')).toBe(stdout.toString().trim())
})

describe.concurrent('keepalives and deadlines', () => {
  test('D19 D20 a keepalive follows every interval without data', async () => {
    const headers = { 'keepalive-ping-interval': '1' }
    const { messages } = await (await start(daemon.url, 'sleep', { args: ['3.5'], headers })).rest()
    const kinds = messages.map(({ event }) => Object.keys(event).join())
    expect(kinds).toEqual(['start', 'keepalive', 'keepalive', 'keepalive', 'end'])
  })

  test('D19 data puts the next keepalive off', async () => {
    const headers = { 'keepalive-ping-interval': '2' }
    const args = ['-c', 'for i in 1 2 3 4 5 6 7; do echo $i; sleep 0.4; done']
    const { messages } = await (await start(daemon.url, '/bin/sh', { args, headers })).rest()
    expect(messages.filter(({ event }) => event.keepalive !== undefined)).toEqual([])
    expect(Buffer.concat(messages.map(dataOf)).toString()).toBe('1\n2\n3\n4\n5\n6\n7\n')
  })

  test.each(versions)('D22 the deadline kills the session and the stream says so, $http2', async ({ http2 }) => {
    const headers = { 'connect-timeout-ms': '1500' }
    const args = ['-c', 'echo $$; sh -c "echo \\$\\$; sleep 300 & echo \\$!; wait"']
    const stream = await start(daemon.url, '/bin/sh', { args, headers, http2 })
    const pid = await startedPid(stream)
    const other = await connect(daemon.url, { pid })
    await startedPid(other)
    const pids = (await outputUntil(stream, /(\d+\n){3}/)).trim().split('\n').map(Number)
    const { messages, end } = await stream.rest()
    expect(messages).toEqual([])
    expect(end.error).toEqual({ code: 'deadline_exceeded', message: 'context deadline exceeded' })
    const seen = await other.rest()
    const killed = { exitCode: -1, status: 'signal: killed', error: 'signal: killed' }
    expect(seen.messages.at(-1)?.event.end).toEqual(killed)
    for (const member of pids) await vi.waitUntil(async () => !(await alive(member)), { timeout: 20_000 })
    expect((await transcript(await connect(daemon.url, { pid }))).end).toEqual(killed)
  })

  test('D22 the deadline holds when the starting client has gone', async () => {
    const stream = await start(daemon.url, 'sleep', { args: ['300'], headers: { 'connect-timeout-ms': '1000' } })
    const pid = await startedPid(stream)
    stream.close()
    const other = await transcript(await connect(daemon.url, { pid }))
    expect(other.end).toMatchObject({ status: 'signal: killed' })
  })

  test('D22 a command that ends in time is not touched by its deadline', async () => {
    const headers = { 'connect-timeout-ms': '5000' }
    const { end, streamEnd } = await shell(daemon.url, 'sleep 0.1; echo done', { headers })
    expect(end).toMatchObject({ status: 'exit status 0' })
    expect(streamEnd).toEqual({})
  })

  test('D25 a stopped process still has its deadline', async () => {
    const headers = { 'connect-timeout-ms': '1000' }
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'kill -STOP $$; echo never'], headers })
    const pid = await startedPid(stream)
    expect((await stream.rest()).end.error?.code).toBe('deadline_exceeded')
    await vi.waitUntil(async () => !(await alive(pid)), { timeout: 20_000 })
  })

  test('D32 the deadline of a Connect ends that stream only', async () => {
    const stream = await start(daemon.url, 'sleep', { args: ['300'] })
    const pid = await startedPid(stream)
    const follower = await connect(daemon.url, { pid }, { headers: { 'connect-timeout-ms': '300' } })
    const { end } = await follower.rest()
    expect(end.error).toEqual({ code: 'deadline_exceeded', message: 'context deadline exceeded' })
    expect(await alive(pid)).toBe(true)
    await kill(daemon.url, { pid })
    expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
  })

  test.each(['0', '-5', '0.0', '9999999999', '2147483648', '4294967296', '60000.0'])(
    'D24 a timeout of %s neither ends the stream nor the command early',
    async (timeout) => {
      const headers = { 'connect-timeout-ms': timeout }
      const { stdout, end, streamEnd } = await shell(daemon.url, 'sleep 0.3; echo done', { headers })
      expect({ stdout: stdout.toString(), end, streamEnd }).toMatchObject({
        stdout: 'done\n',
        end: { status: 'exit status 0' },
        streamEnd: {},
      })
      expect((await call(daemon.url, 'process.Process/List', {}, { headers })).status).toBe(200)
    },
  )

  test('D24 a timeout in fractions, as old clients send it, is a timeout', async () => {
    const headers = { 'connect-timeout-ms': '500.0' }
    const stream = await start(daemon.url, 'sleep', { args: ['300'], headers })
    await startedPid(stream)
    expect((await stream.rest()).end.error?.code).toBe('deadline_exceeded')
  })

  test.each(['soon', '12345678901', '1e3', '0x10', '5 5'])('D13 D23 a timeout of "%s" is refused', async (timeout) => {
    const headers = { 'connect-timeout-ms': timeout }
    const tag = `bad-timeout-${timeout}`
    const stream = await start(daemon.url, 'sleep', { args: ['300'], tag, headers })
    const { messages, end } = await stream.rest()
    expect(messages).toEqual([])
    expect(end.error).toMatchObject({ code: 'invalid_argument', message: expect.stringMatching(/^parse timeout: /) })
    expect((await list(daemon.url)).some((process) => process.tag === tag)).toBe(false)
  })
})

test('D17 the binary codec carries the same bytes', async () => {
  const field = (number: number, payload: Buffer) =>
    Buffer.concat([Buffer.from([(number << 3) | 2, payload.length]), payload])
  const config = Buffer.concat([field(1, Buffer.from('printf')), field(2, Buffer.from('a\\000\\377'))])
  const { body } = await sendWhole(`${daemon.url}/process.Process/Start`, {
    method: 'POST',
    headers: { 'content-type': 'application/connect+proto', 'connect-protocol-version': '1' },
    body: enveloped(field(1, config)),
  })
  const offset = Buffer.from([4 << 3, 0])
  const data = field(1, field(2, Buffer.concat([offset, field(1, Buffer.from([0x61, 0, 0xff]))])))
  expect(body.includes(enveloped(data))).toBe(true)
})
