import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { Sandbox } from 'e2b'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { type Headers, sendWhole } from '../_util/http.ts'
import { inNamespace, needsNamespace } from '../_util/namespace.ts'
import { enveloped, open, shell, start } from '../_util/rpc.ts'
import { dial, messagesOf } from './grpc-client.ts'
import { DAEMON_PORT, envoy, nginx, type RunningProxy } from './proxies.ts'

/** Longer than the 60 s after which proxies lose patience, shorter than the 90 s after which the daemon speaks. */
const SILENCE_SECONDS = 70
const SILENCE_LIMIT_MS = 110_000
const MEGABYTES_20 = 20 * 1024 * 1024

/** The path goes out as it is. */
function postRaw(url: string, path: string): Promise<number> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method: 'POST', agent: false }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    outgoing.on('error', reject).end('{"accessToken":"taken"}')
  })
}

/** Input of a command that is sent bit by bit, in one call. */
function openInput(url: string, pid: number) {
  const outgoing = request(`${url}/process.Process/StreamInput`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/connect+json', 'connect-protocol-version': '1' },
  })
  const answered = new Promise<number>((resolve, reject) => {
    outgoing.on('error', reject).on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
  })
  const put = (message: object) => outgoing.write(enveloped(Buffer.from(JSON.stringify(message))))
  put({ start: { process: { pid } } })
  return {
    answered,
    write: (text: string) => put({ data: { input: { stdin: Buffer.from(text).toString('base64') } } }),
    end: () => outgoing.end(),
  }
}

describe.each([
  ['nginx', nginx],
  ['Envoy', envoy],
] as const)('behind %s', (_, kind) => {
  const possible = inNamespace && kind.missing === undefined
  let daemon: Daemon
  let proxy: RunningProxy
  beforeEach((context) => {
    needsNamespace(context)
    if (kind.missing !== undefined) context.skip(kind.missing)
  })
  beforeAll(async () => {
    if (!possible) return
    daemon = await startDaemon({ port: DAEMON_PORT })
    proxy = await kind.start()
  })
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await daemon?.[Symbol.asyncDispose]()
  })
  const sandbox = () => Sandbox.connect('anything', { debug: true, sandboxUrl: proxy.url })

  test.concurrent('a command that is silent for 70 s is heard to its end', { timeout: SILENCE_LIMIT_MS }, async () => {
    const stream = await start(proxy.url, '/bin/sh', {
      args: ['-c', `sleep ${SILENCE_SECONDS}; echo done`],
      stdin: false,
    })
    const { messages, end } = await stream.rest()
    expect(messages.map(({ event }) => Object.keys(event)[0])).toEqual(['start', 'data', 'end'])
    expect(end).toEqual({})
  })

  test.concurrent('over gRPC as well', { timeout: SILENCE_LIMIT_MS }, async () => {
    using client = dial('process', 'Process', proxy.grpc)
    const words = { process: { cmd: '/bin/sh', args: ['-c', `sleep ${SILENCE_SECONDS}; echo done`] }, stdin: false }
    const events = await messagesOf(client.stream('Start', words))
    expect(events.map(({ event }) => event.event)).toEqual(['start', 'data', 'end'])
  })

  test.concurrent('gRPC and the other protocols follow each other', async () => {
    using client = dial('process', 'Process', proxy.grpc)
    for (let round = 0; round < 20; round++) {
      expect((await shell(proxy.url, 'echo heard')).stdout.toString()).toBe('heard\n')
      await client.unary('List', {})
    }
  })

  test.concurrent('input arrives while its call goes on, and after a silence of 70 s', {
    timeout: SILENCE_LIMIT_MS,
  }, async () => {
    const stream = await start(proxy.url, '/bin/cat', { stdin: true })
    const input = openInput(proxy.url, (await stream.next()).event.start?.pid ?? 0)
    const heard = async () => Buffer.from((await stream.next()).event.data?.stdout ?? '', 'base64').toString()
    input.write('first')
    expect(await heard()).toBe('first')
    await new Promise((resolve) => setTimeout(resolve, SILENCE_SECONDS * 1000))
    input.write('second')
    expect(await heard()).toBe('second')
    input.end()
    expect(await input.answered).toBe(200)
    stream.close()
  })

  test.concurrent('output arrives while the command runs', async () => {
    const { commands } = await sandbox()
    const first = Promise.withResolvers<string>()
    const command = await commands.run('echo first; read line; echo "then $line"', {
      background: true,
      stdin: true,
      onStdout: (text) => first.resolve(text),
    })
    expect(await first.promise).toBe('first\n')
    await commands.sendStdin(command.pid, 'second\n')
    expect((await command.wait()).stdout).toBe('first\nthen second\n')
  })

  test.concurrent('20 MB go up and come down unchanged', async () => {
    const { files } = await sandbox()
    const bytes = randomBytes(MEGABYTES_20)
    await files.write('/tmp/big', new Blob([bytes]))
    expect(bytes.equals(await files.read('/tmp/big', { format: 'bytes' }))).toBe(true)
  })

  test.concurrent('a terminal works', async () => {
    const { pty } = await sandbox()
    const shown: string[] = []
    const terminal = await pty.create({
      cols: 90,
      rows: 24,
      onData: (data) => void shown.push(String(Buffer.from(data))),
    })
    await pty.sendInput(terminal.pid, new TextEncoder().encode('stty size; exit\n'))
    await terminal.wait()
    expect(shown.join('')).toContain('24 90')
  })

  test.concurrent('a directory is watched', async () => {
    const { files } = await sandbox()
    await files.makeDir('/tmp/watched')
    const seen = Promise.withResolvers<string>()
    const watch = await files.watchDir('/tmp/watched', ({ name }) => seen.resolve(name))
    await files.write('/tmp/watched/new', '')
    expect(await seen.promise).toBe('new')
    await watch.stop()
  })

  test.concurrent('a client that goes away is noticed', async ({ expect }) => {
    const watchers = async () => {
      const { text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
      return Number(/^envd_watchers (\d+)/m.exec(text)?.[1])
    }
    const stream = await open(proxy.url, 'filesystem.Filesystem/WatchDir', { path: '/tmp' })
    await stream.next()
    await expect.poll(watchers).toBeGreaterThan(0)
    stream.close()
    await expect.poll(watchers).toBe(0)
  })

  test.concurrent('a path as long as may be, and as much metadata as a file may have, get through', async () => {
    const metadata: Headers = Object.fromEntries(
      Array.from({ length: 35 }, (_, n) => [`x-metadata-key-${n}`, 'v'.repeat(98)]),
    )
    const where = `${proxy.url}/files?path=${encodeURIComponent(`/tmp/long${`/${'é'.repeat(120)}`.repeat(16)}`)}`
    const written = await sendWhole(where, {
      method: 'POST',
      headers: { ...metadata, 'content-type': 'application/octet-stream' },
      body: 'x',
    })
    expect([written.status, written.text]).toEqual([200, expect.stringContaining('key-34')])
    expect((await sendWhole(where)).text).toBe('x')
  })

  test.concurrent('K27 no spelling of a control endpoint gets through', async () => {
    const names = ['collapse', 'freeze', 'fsfreeze', 'fsthaw', 'init', 'unfreeze', 'upgrade']
    const plain = names.map((name) => `/${name}`)
    const others = [
      '/%69nit',
      '//init',
      '/x/../init',
      '/./init',
      '/x/%2e%2e/init',
      '/x%2f..%2finit',
      '/init/',
      '/init?a=b',
      '/init%3Fa',
    ]
    for (const path of [...plain, ...others]) {
      expect([path, await postRaw(proxy.url, path)]).toEqual([path, expect.toBeOneOf([400, 404])])
    }
    // A token would be asked for if one had been set.
    expect((await sendWhole(`${daemon.url}/envs`)).status).toBe(200)
  })

  test.concurrent('hundreds of streams at a time are no problem', async () => {
    const streams = await Promise.all(
      Array.from({ length: 300 }, () => start(proxy.url, '/bin/sleep', { args: ['1000'], stdin: false, tag: 'crowd' })),
    )
    await Promise.all(streams.map((stream) => stream.next()))
    expect((await shell(proxy.url, 'echo still here')).stdout.toString()).toBe('still here\n')
    // What is left of the commands ends with the daemon.
    for (const stream of streams) stream.close()
  })
})
