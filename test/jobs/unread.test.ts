import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test, vi } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, open, shell } from '../_util/rpc.ts'
import { startLimited } from '../hostile/limited-daemon.ts'
import { inParallel } from '../process/following.ts'
import { TerminalClient } from '../terminals/terminal-client.ts'

const MB = 2 ** 20
const MAX_RESIDENT = 200 * MB
const STARTS = 1_000
const TAG = 'unread'

/** Clients of each call, of which none reads. */
const UNREAD: readonly (readonly [number, string, object])[] = [
  [200, 'jobs.v1.Jobs/Watch', {}],
  [120, 'activity.v1.Activity/Watch', {}],
  [80, 'terminals.v1.Terminals/Attach', { terminal: { name: TAG } }],
  [40, 'terminals.v1.Terminals/Record', { terminal: { name: TAG } }],
  [60, 'jobs.v1.Jobs/Read', { job: { tag: TAG }, follow: true }],
]
const WAITING = 60

/** Sends a call and never reads what comes. */
async function unread(port: number, method: string, message: object, unary = false): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port }).on('error', () => {})
  await once(socket, 'connect')
  const json = Buffer.from(JSON.stringify(message))
  const body = unary ? json : enveloped(json)
  const type = unary ? 'application/json' : 'application/connect+json'
  const head = [`POST /${method} HTTP/1.1`, 'Host: x', `Content-Type: ${type}`, `Content-Length: ${body.length}`]
  socket.write(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
  return socket
}

/** Output with colors of its own in each cell of a screen and of the thousand lines above it: 2.7 MB as text. */
const CELL = '\\033[38;2;1;%d;3;48;5;%dmx'
const COLORS = `awk 'BEGIN { for (i = 0; i < 80000; i++) printf "${CELL}", i % 200, i % 100 }'; printf '\\033[0mdrawn'`

/** Opens a terminal with such a screen; what follows is run after the next line of input. */
async function coloured(url: string, then: string): Promise<TerminalClient> {
  const args = ['-c', `${COLORS}; read go; ${then}; exec cat`]
  const client = await TerminalClient.open(url, 'Open', { name: TAG, command: 'sh', args })
  await client.until(() => client.text().includes('drawn'))
  return client
}

/** So many times the clients of `UNREAD`, and of those that wait for a job that has ended. */
async function unreadClients(port: number, pid: number, times: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (const [count, method, message] of UNREAD)
    for (let index = 0; index < times * count; index++) sockets.push(await unread(port, method, message))
  const wait = { job: { pid }, tailBytes: 256 * 1024 }
  for (let index = 0; index < times * WAITING; index++)
    sockets.push(await unread(port, 'jobs.v1.Jobs/Wait', wait, true))
  return sockets
}

interface Change {
  readonly watching?: object
  readonly started?: { readonly pid: number }
  readonly ended?: { readonly pid: number; readonly exitCode?: number }
}

test('hundreds of clients that do not read take little memory, and one that does misses nothing', async (context) => {
  await using daemon = await startLimited(context)
  const { url, port } = daemon
  const reader = await coloured(url, 'stty -onlcr; seq 1 20000; printf end')
  const waited = await shell(url, "head -c 1000000 /dev/zero | tr '\\0' x; echo x >&2")
  const sockets = await unreadClients(port, waited.pid, 1)

  const watch = await open<Change>(url, 'jobs.v1.Jobs/Watch', {})
  expect((await watch.next()).watching).toBeDefined()
  const seen: Change[] = []
  const watching = (async () => {
    while (seen.length < 2 * STARTS) {
      const change = await watch.next()
      if (change.started !== undefined || change.ended !== undefined) seen.push(change)
    }
  })()
  const pids: number[] = []
  await inParallel(STARTS, 20, async () => {
    const { pid, end } = await shell(url, 'exit 3')
    expect(end?.status).toBe('exit status 3')
    pids.push(pid)
  })
  await watching
  const sorted = (list: readonly number[]) => [...list].sort((one, other) => one - other)
  expect(sorted(seen.flatMap(({ started }) => started?.pid ?? []))).toEqual(sorted(pids))
  expect(sorted(seen.flatMap(({ ended }) => ended?.pid ?? []))).toEqual(sorted(pids))

  const at = reader.output().length
  await call(url, 'terminals.v1.Terminals/Write', { terminal: { name: TAG }, data: btoa('go\r') })
  await reader.until(() => reader.text().includes('end'))
  expect(reader.output().subarray(at).toString()).toContain(
    `${Array.from({ length: 20_000 }, (_, line) => `${line + 1}\n`).join('')}end`,
  )
  const { resident, peak } = daemon.held()
  console.log(
    `${sockets.length} clients unread: ${Math.round(resident / MB)} MiB, at most ${Math.round(peak / MB)} MiB`,
  )
  expect(peak).toBeLessThan(MAX_RESIDENT)
  for (const socket of sockets) socket.destroy()
  reader.close()
  watch.close()
  await call(url, 'terminals.v1.Terminals/Close', { terminal: { name: TAG } })
}, 240_000)

test('three times as many are refused beyond a number, and others are served all the while', async (context) => {
  await using daemon = await startLimited(context)
  const { url, port } = daemon
  const reader = await coloured(url, ':')
  const { pid } = await shell(url, "head -c 1000000 /dev/zero | tr '\\0' x")
  const sockets = await unreadClients(port, pid, 3)
  // One that has taken nothing for a second makes room for another.
  const readers: Awaited<ReturnType<typeof open<Change>>>[] = []
  const refusal = async () => {
    const watch = await open<Change>(url, 'jobs.v1.Jobs/Watch', {})
    readers.push(watch)
    return watch.next().then(() => 'served', String)
  }
  await expect.poll(refusal, { interval: 5 }).toContain('resource_exhausted')
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect((await call(url, 'jobs.v1.Jobs/Get', { job: { pid } })).status).toBe(200)
  // Another user has a share of its own.
  const other = await open<Change>(
    url,
    'jobs.v1.Jobs/Watch',
    {},
    { headers: { authorization: `Basic ${btoa('user:')}` } },
  )
  expect((await other.next()).watching).toBeDefined()
  other.close()
  const { resident, peak } = daemon.held()
  console.log(`${sockets.length} clients unread: ${resident >> 20} MiB, at most ${peak >> 20} MiB`)
  expect(peak).toBeLessThan(MAX_RESIDENT)
  for (const socket of sockets) socket.destroy()
  for (const watch of readers) watch.close()
  reader.close()
  await vi.waitUntil(async () => (await shell(url, 'exit 3')).end?.status === 'exit status 3', { timeout: 15_000 })
  await call(url, 'terminals.v1.Terminals/Close', { terminal: { name: TAG } })
}, 240_000)
