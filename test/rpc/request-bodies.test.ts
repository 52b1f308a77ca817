import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, pidOf, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const MB = 1024 * 1024
const daemon = sharedDaemon({ args: ['-body-stall', '1'] })

/** A request whose body never comes whole; gives what is answered until the connection ends. */
async function half(path: string, type: string, part: string | Buffer = '{"a'): Promise<string> {
  const socket = connect(daemon.port, '127.0.0.1').on('error', () => {})
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\n\r\n`)
  socket.write(part)
  await expect.poll(() => text).toMatch(/HTTP\/1\.1 \d+|grpc-status/)
  socket.destroy()
  return text
}

test.each([
  ['/init', 'application/json', /^HTTP\/1\.1 408 /],
  ['/files/compose', 'application/json', /^HTTP\/1\.1 408 /],
  ['/files?path=/tmp/stalled', 'application/octet-stream', /^HTTP\/1\.1 408 /],
  ['/files?path=/tmp/stalled', 'multipart/form-data; boundary=b', /^HTTP\/1\.1 408 /],
  ['/process.Process/List', 'application/json', /"code":"deadline_exceeded"/],
  ['/process.Process/StreamInput', 'application/connect+proto', /"code":"deadline_exceeded"/],
  ['/process.Process/Start', 'application/connect+json', /"code":"deadline_exceeded"/],
  ['/process.Process/List', 'application/grpc-web+proto', /grpc-status: 4/],
])('a body that stalls on %s (%s) is given up', async (path, type, answer) => {
  expect(await half(path, type)).toMatch(answer)
})

test('a small body that comes in pieces is taken whole, and the next request of its connection as well', async () => {
  const body = JSON.stringify({ accessToken: null, envVars: { A: 'x'.repeat(100) } })
  const socket = connect(daemon.port, '127.0.0.1').setNoDelay(true)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  for (const path of ['/init', '/process.Process/List', '/init']) {
    text = ''
    const sent = path === '/init' ? body : '{}'
    socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`)
    socket.write(`Content-Length: ${sent.length}\r\n\r\n`)
    for (const piece of [sent.slice(0, 1), sent.slice(1, -1), sent.slice(-1)]) {
      // Each in a turn of the daemon's own.
      await fetch(`${daemon.url}/health`)
      expect(text).toBe('')
      socket.write(piece)
    }
    await expect.poll(() => text).toMatch(/^HTTP\/1\.1 20[04] /)
  }
  socket.destroy()
})

test.each([
  ['/init', 'application/json', 5 * MB, 413],
  ['/files/compose', 'application/json', 2 * MB, 413],
  ['/process.Process/List', 'application/json', 2 * MB, 429],
  ['/process.Process/SendInput', 'application/json', 100 * MB, 429],
])('%s (%s) of %i bytes is refused before a byte of it is sent', async (path, type, length, status) => {
  const socket = connect(daemon.port, '127.0.0.1').on('error', () => {})
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`)
  const [answer] = await once(socket, 'data')
  expect(String(answer)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  socket.destroy()
})

const empties = Buffer.concat([Buffer.from('{"x":['), Buffer.from('{},'.repeat(340_000)), Buffer.from('1]}')])

test('A25 unknown values by the hundred thousand are passed over, or refused, by every protocol', async () => {
  const post = (path: string, body: Buffer, headers: Record<string, string>) =>
    sendWhole(`${daemon.url}/${path}`, { method: 'POST', headers, body })
  const zipped = gzipSync(empties)
  expect((await post('process.Process/List', empties, { 'content-type': 'application/json' })).status).toBe(200)
  const bomb = await post('process.Process/List', zipped, {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
  })
  expect(bomb.status).toBe(200)
  const web = await post('process.Process/List', enveloped(zipped, 1), {
    'content-type': 'application/grpc-web+json',
    'grpc-encoding': 'gzip',
  })
  expect(web.text).toContain('grpc-status: 0')
  const large = gzipSync(Buffer.alloc(20 * MB, ' '))
  const refused = await post('process.Process/SendInput', large, {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
  })
  expect(JSON.parse(refused.text)).toMatchObject({ code: 'resource_exhausted' })
})

test('D51 a StreamInput message of 15 MB in JSON arrives whole, though it is divided', async () => {
  const { url } = daemon
  const stream = await start(url, 'sha256sum', {})
  const pid = await pidOf(stream)
  const bytes = randomBytes(15 * MB)
  const frames = [{ start: { process: { pid } } }, { data: { input: { stdin: bytes.toString('base64') } } }].map(
    (message) => enveloped(Buffer.from(JSON.stringify(message))),
  )
  const headers = { 'content-type': 'application/connect+json' }
  const body = Buffer.concat(frames)
  const answer = await sendWhole(`${url}/process.Process/StreamInput`, { method: 'POST', headers, body })
  expect(answer.text).not.toContain('error')
  await call(url, 'process.Process/CloseStdin', { process: { pid } })
  const { messages } = await stream.rest()
  const reported = Buffer.from(messages.map(({ event }) => event.data?.stdout ?? '').join(''), 'base64').toString()
  expect(reported).toContain(createHash('sha256').update(bytes).digest('hex'))
})

test('40 bodies of 20 MB that never come whole take no more than the budget, which is free again at once', async () => {
  await using own = await startDaemon({})
  const rss = async () => Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${own.pid}/status`, 'latin1'))?.[1]) / 1024
  const before = await rss()
  const part = Buffer.alloc(19 * MB, ' ')
  const head = `POST /process.Process/SendInput HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${20 * MB}\r\n\r\n`
  const sockets: Socket[] = Array.from({ length: 40 }, () => connect(own.port, '127.0.0.1').on('error', () => {}))
  let refused = 0
  for (const socket of sockets) {
    socket.on('data', (chunk) => {
      if (String(chunk).includes('resource_exhausted')) refused++
    })
    socket.write(head)
    socket.write(part)
  }
  await expect.poll(() => refused, { timeout: 30_000 }).toBeGreaterThan(20)
  // Half of 256 MiB at most, and what the collector has not come to yet.
  expect((await rss()) - before).toBeLessThan(300)
  expect((await call(own.url, 'process.Process/List', {})).status).toBe(200)
  expect((await sendWhole(`${own.url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  for (const socket of sockets) socket.destroy()
  await expect.poll(async () => (await rss()) - before).toBeLessThan(90)
})
