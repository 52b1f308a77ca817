import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import type { Daemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { asUser, call, open, pidOf, start } from '../_util/rpc.ts'
import { startLimited } from '../hostile/limited-daemon.ts'

const TOKEN = { 'x-access-token': 'secret' }
/** As one user alone gets half of what is free. */
const USERS = readFileSync('/etc/passwd', 'latin1')
  .split('\n')
  .map((line) => line.split(':')[0] ?? '')
  .filter((name) => name !== '')
/** Sizes of bodies for each user that spend the budget, the larger ones first. */
const BODIES = [4, 2, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125].map((mib) => mib * 1024 * 1024)

/** Bytes in the budget, and in all of it. */
async function budgetOf({ url }: Daemon): Promise<{ held: number; text: string }> {
  const headers = { ...TOKEN, accept: 'application/openmetrics-text' }
  const { status, text } = await sendWhole(`${url}/metrics`, { headers })
  expect(status).toBe(200)
  const held = [...text.matchAll(/^envd_budget_bytes\{kind="\w+"\} (\d+)/gm)].map(([, bytes]) => Number(bytes))
  return { held: held.reduce((sum, bytes) => sum + bytes, 0), text }
}

/** Sends all but one byte of a body for a call, which the daemon holds until that comes. */
async function halfSent({ port }: Daemon, user: string, bytes: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port }).on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  const head = [
    'POST /process.Process/SendInput HTTP/1.1',
    'Host: x',
    'Content-Type: application/json',
    `X-Access-Token: ${TOKEN['x-access-token']}`,
    `Authorization: Basic ${btoa(`${user}:`)}`,
    `Content-Length: ${bytes}`,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  socket.write(Buffer.alloc(bytes - 1, ' '))
  return socket
}

test('with the budget spent /health, /metrics, /init, SIGKILL and the end of calls pass, and others are refused until it is given back', async (context) => {
  await using daemon = await startLimited(context)
  const init = () =>
    sendWhole(`${daemon.url}/init`, { method: 'POST', body: '{"accessToken":"secret"}', headers: TOKEN })
  expect((await init()).status).toBe(204)
  const command = await start(daemon.url, '/bin/sleep', { args: ['1000'], headers: TOKEN })
  const pid = await pidOf(command)
  const watch = await open(daemon.url, 'filesystem.Filesystem/WatchDir', { path: '/tmp' }, { headers: TOKEN })

  const spenders: Socket[] = []
  const upload = () =>
    sendWhole(`${daemon.url}/files?path=/tmp/envd-spent-${process.pid}`, {
      method: 'POST',
      headers: { ...TOKEN, ...asUser('root'), 'content-type': 'application/octet-stream', 'content-encoding': 'gzip' },
      body: Buffer.alloc(20),
    })
  for (const bytes of BODIES) for (const user of USERS) spenders.push(await halfSent(daemon, user, bytes))
  await expect.poll(async () => (await upload()).status).toBe(503)
  expect((await upload()).headers['retry-after']).toMatch(/^\d+$/)

  const { held, text } = await budgetOf(daemon)
  expect(text).toMatch(/^envd_budget_refusals_total [1-9]/m)
  expect(held).toBeGreaterThan(50 * 1024 * 1024)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  expect((await init()).status).toBe(204)
  const killed = await call(
    daemon.url,
    'process.Process/SendSignal',
    { process: { pid }, signal: 'SIGNAL_SIGKILL' },
    { headers: TOKEN },
  )
  expect(killed.status).toBe(200)
  await command.rest()
  watch.close()

  for (const socket of spenders) socket.destroy()
  await expect.poll(async () => (await budgetOf(daemon)).held).toBe(0)
  expect((await upload()).status).toBe(400)
}, 60_000)
