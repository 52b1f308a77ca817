import { once } from 'node:events'
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'

const REPEATS = 40
const JSON_GZIP = { 'content-type': 'application/json', 'content-encoding': 'gzip' }

// A thread that inflates must not read what was freed: the daemon would end by SIGSEGV, which disposing it reports.

test('A25 zeros that follow the end of gzip are passed over, in memory that is there', async () => {
  await using daemon = await startDaemon()
  const body = Buffer.concat([gzipSync('{}'), Buffer.alloc(900_000)])
  for (let i = 0; i < REPEATS; i++) {
    const answer = await sendWhole(`${daemon.url}/process.Process/List`, { method: 'POST', headers: JSON_GZIP, body })
    expect([answer.status, answer.text]).toEqual([200, '{}'])
  }
})

test('A25 a client that leaves while its message is inflated takes no memory from under the thread that does it', async () => {
  await using daemon = await startDaemon()
  const text = Buffer.alloc(8 * 1024 * 1024, 'payload of some kind, ')
  const message = JSON.stringify({ process: { pid: 1 }, input: { stdin: text.toString('base64') } })
  const body = gzipSync(message, { level: 1 })
  const head = `POST /process.Process/SendInput HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`
  const leave = async (afterMs: number) => {
    const socket = connect(daemon.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(head)
    await new Promise((sent) => socket.write(body, sent))
    setTimeout(() => socket.destroy(), afterMs)
    await once(socket, 'close')
  }
  for (let i = 0; i < REPEATS; i++) await Promise.all([leave(i % 8), leave((i * 3) % 8)])
  expect((await call(daemon.url, 'process.Process/List', {})).status).toBe(200)
})
