import { once } from 'node:events'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from './_util/daemon.ts'
import { mountFuse, waitsForFuse } from './_util/dead-mount.ts'
import { sendWhole } from './_util/http.ts'
import { call, enveloped, pidOf, start } from './_util/rpc.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'

/**
 * The daemon promises to end within 5 s of SIGTERM, and as long again is for a busy machine. A test that waits for what
 * these tests hold up waits for ever.
 */
const END_MS = 10_000

/** Also a zombie counts as alive. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  'A7 %s ends streams with unavailable and the daemon with 0',
  async (signal) => {
    await using daemon = await startDaemon()
    const { url } = daemon
    const streams = [
      await start(url, 'sleep', { args: ['1000'] }),
      await start(url, 'sleep', { args: ['1000'], http2: true }),
    ]
    for (const stream of streams) await pidOf(stream)
    process.kill(daemon.pid, signal)
    for (const stream of streams) {
      const { messages, end } = await stream.rest()
      expect({ messages, code: end.error?.code }).toEqual({ messages: [], code: 'unavailable' })
    }
    await expect(sendWhole(`${url}/health`)).rejects.toThrow(/ECONNREFUSED|ECONNRESET|hang up/)
    expect(await daemon.stop()).toBe(0)
  },
)

test('A7 D73 running commands survive the daemon', async () => {
  await using daemon = await startDaemon({ args: ['-kill-on-exit=false'] })
  await using dir = await makeTmpDir()
  const script = `trap 'echo term > ${dir.path}/signal' TERM HUP; echo up; while [ ! -e ${dir.path}/go ]; do sleep 0.05; done; echo done > ${dir.path}/done`
  const stream = await start(daemon.url, 'sh', { args: ['-c', script] })
  const pid = await pidOf(stream)
  await stream.next()
  expect(await daemon.stop()).toBe(0)
  expect(isAlive(pid)).toBe(true)
  await writeFile(join(dir.path, 'go'), '')
  await expect.poll(() => readFile(join(dir.path, 'done'), 'utf8').catch(() => '')).toBe('done\n')
  await expect(stat(join(dir.path, 'signal'))).rejects.toThrow('ENOENT')
})

test('A7 with -kill-on-exit commands end with the daemon, also those that ignore SIGTERM', async () => {
  await using daemon = await startDaemon({ args: ['-kill-on-exit'] })
  const obstinate = await start(daemon.url, 'sh', {
    args: ['-c', 'trap "" TERM HUP; echo up; while :; do sleep 1; done'],
  })
  const ordinary = await start(daemon.url, 'sleep', { args: ['1000'] })
  const pids = [await pidOf(obstinate), await pidOf(ordinary)]
  await obstinate.next()
  expect(await daemon.stop()).toBe(0)
  await expect.poll(() => pids.map(isAlive)).toEqual([false, false])
})

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])('A7 100 open streams over %s all get their last frame before the end', async (_, http2) => {
  await using daemon = await startDaemon()
  const streams = await Promise.all(
    Array.from({ length: 100 }, () => start(daemon.url, 'sleep', { args: ['1000'], http2 })),
  )
  await Promise.all(streams.map(pidOf))
  const before = performance.now()
  const code = daemon.stop()
  const ends = await Promise.all(streams.map((stream) => stream.rest()))
  expect(new Set(ends.map(({ end }) => end.error?.code))).toEqual(new Set(['unavailable']))
  expect(await code).toBe(0)
  expect(performance.now() - before).toBeLessThan(END_MS)
})

test('A7 100 calls on one HTTP/2 connection and clients that never read do not hold the daemon up', async () => {
  await using daemon = await startDaemon()
  const session = connectHttp2(daemon.url)
  session.on('error', () => {})
  const body = enveloped(Buffer.from('{"process":{"cmd":"yes"}}'))
  const headers = { ':method': 'POST', ':path': '/process.Process/Start', 'content-type': 'application/connect+json' }
  for (let i = 0; i < 50; i++) {
    const stream = session.request(headers)
    stream.on('error', () => {})
    const answered = once(stream, 'response')
    stream.end(body)
    await answered
  }
  for (let i = 0; i < 20; i++) {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      `POST /process.Process/Start HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    socket.write(body)
    await once(socket, 'readable')
  }
  const before = performance.now()
  expect(await daemon.stop()).toBe(0)
  expect(performance.now() - before).toBeLessThan(END_MS)
  session.destroy()
})

test('A7 a connection that only just began, or idles, does not hold the daemon up', async () => {
  await using daemon = await startDaemon()
  const openers = [
    '',
    'P',
    'PRI * HTTP/2.0\r\n',
    'GET /health HTTP/1.1\r\nhost: x\r\n',
    'GET /health HTTP/1.1\r\nhost: x\r\n\r\n',
  ]
  for (const opener of openers) {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write(opener)
  }
  await sendWhole(`${daemon.url}/health`)
  const before = performance.now()
  expect(await daemon.stop()).toBe(0)
  expect(performance.now() - before).toBeLessThan(END_MS)
})

test('A7 a second SIGTERM changes nothing', async () => {
  await using daemon = await startDaemon()
  const stream = await start(daemon.url, 'sleep', { args: ['1000'] })
  await pidOf(stream)
  process.kill(daemon.pid, 'SIGTERM')
  process.kill(daemon.pid, 'SIGTERM')
  expect((await stream.rest()).end.error?.code).toBe('unavailable')
  expect(await daemon.stop()).toBe(0)
})

test('A7 a file call that a dead mount holds up does not hold the daemon up', async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  mount.die()
  const path = join(mount.path, 'file')
  const answer = call(daemon.url, 'filesystem.Filesystem/Stat', { path }).catch(() => 'none')
  await expect.poll(() => waitsForFuse(daemon.pid)).toBe(true)
  const before = performance.now()
  expect(await daemon.stop()).toBe(0)
  expect(performance.now() - before).toBeLessThan(END_MS)
  await answer
})
