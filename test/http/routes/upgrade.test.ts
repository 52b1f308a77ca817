import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { upgradeRoute } from '../../../src/http/routes/upgrade.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { connectRaw, startFront } from '../front.ts'

const TARGET = 'x-envd-upgrade-bin'
const initialized = [upgradeRouteOf(true)]

function upgradeRouteOf(done: boolean) {
  return (app: Parameters<typeof upgradeRoute>[0]) =>
    upgradeRoute(app, { initialization: { initialized: done }, upgrade: undefined })
}

const notThere = {
  status: 501,
  headers: { 'content-type': 'application/json; charset=utf-8' },
  text: expect.stringContaining('"code":501'),
}

test('I1 before the first initialization an upgrade is 409, whatever it asks for', async () => {
  await using front = await startFront({ routes: [upgradeRouteOf(false)] })
  for (const headers of [{}, { [TARGET]: '/bin/sh' }]) {
    const answer = await sendWhole(`${front.url}/upgrade`, { method: 'POST', headers })
    expect(answer).toMatchObject({ status: 409, text: 'envd not initialized' })
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
  }
})

test('I2 another target is 400', async () => {
  await using front = await startFront({ routes: initialized })
  for (const target of ['/bin/sh', '/usr/bin/envd', '/usr/bin/envd.next/', '/usr/bin/../bin/envd.next', 'envd.next']) {
    const answer = await sendWhole(`${front.url}/upgrade`, { method: 'POST', headers: { [TARGET]: target } })
    expect(answer).toMatchObject({ status: 400, text: 'unsupported upgrade target' })
  }
})

test('I17 I2 an upgrade to the allowed target, or to none, is 501 with a JSON error', async () => {
  await using front = await startFront({ routes: initialized })
  for (const headers of [{}, { [TARGET]: '' }, { [TARGET]: '/usr/bin/envd.next' }]) {
    for (const body of ['', 'x']) {
      expect(await sendWhole(`${front.url}/upgrade`, { method: 'POST', headers, body })).toMatchObject(notThere)
    }
  }
})

const HUNDRED = 100

test('I17 who sends 100 MB before it reads gets to read the answer', async () => {
  await using front = await startFront({ routes: initialized })
  const body = randomBytes(HUNDRED * 1024 * 1024)
  expect(await sendWhole(`${front.url}/upgrade`, { method: 'POST', body })).toMatchObject(notThere)
})

test('I17 so does who sends 100 MB over HTTP/2', async () => {
  await using front = await startFront({ routes: initialized })
  const session = connectHttp2(front.url)
  const stream = session.request({ ':method': 'POST', ':path': '/upgrade' })
  const answered = once(stream, 'response')
  const piece = randomBytes(1024 * 1024)
  for (let i = 0; i < HUNDRED; i++) if (!stream.write(piece)) await once(stream, 'drain')
  stream.end()
  const [headers] = await answered
  expect(headers[':status']).toBe(501)
  expect(JSON.parse(Buffer.concat(await stream.toArray()).toString())).toMatchObject({ code: 501 })
  session.close()
})

test('I17 the answer does not wait for the body, and the connection serves the next request after it', async () => {
  await using front = await startFront({ routes: initialized })
  using client = await connectRaw(front.port)
  client.write('POST /upgrade HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n')
  await expect.poll(() => client.received()).toContain('501 Not Implemented')
  client.write(Buffer.alloc(1_000_000))
  client.write('GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  expect(await client.closed).toContain('204 No Content')
})

test('I17 a client that leaves in the middle of its body changes nothing', async () => {
  await using front = await startFront({ routes: initialized })
  for (let i = 0; i < 20; i++) {
    const socket = connect(front.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    socket.write('POST /upgrade HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf')
    await once(socket, 'data')
    socket.destroy()
  }
  expect((await sendWhole(`${front.url}/health`)).status).toBe(204)
  expect(front.logged.filter(({ level }) => level !== 'debug')).toEqual([])
})

test('I17 without the keeper an upgrade is 501, and nothing is written', async () => {
  await using daemon = await startDaemon({ args: ['-no-keeper'] })
  const post = (path: string, body: string) => sendWhole(daemon.url + path, { method: 'POST', body })
  expect((await post('/upgrade', 'x')).status).toBe(409)
  expect((await post('/init', '{}')).status).toBe(204)
  const program = '#!/bin/sh\n# of a test without the keeper\n'
  expect(await post('/upgrade', program)).toMatchObject(notThere)
  expect(await sendWhole(`${daemon.url}/upgrade/status`)).toMatchObject(notThere)
  // Other tests may leave theirs there.
  expect(await readFile('/usr/bin/envd.next', 'utf8').catch(() => '')).not.toBe(program)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
})
