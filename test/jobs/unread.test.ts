import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
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
  [100, 'jobs.v1.Jobs/Watch', {}],
  [60, 'activity.v1.Activity/Watch', {}],
  [40, 'terminals.v1.Terminals/Attach', { terminal: { name: TAG } }],
  [20, 'terminals.v1.Terminals/Record', { terminal: { name: TAG } }],
  [30, 'jobs.v1.Jobs/Read', { job: { tag: TAG }, follow: true }],
]
const WAITING = 30

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

interface Change {
  readonly watching?: object
  readonly started?: { readonly pid: number }
  readonly ended?: { readonly pid: number; readonly exitCode?: number }
}

test('hundreds of clients that do not read take little memory, and one that does misses nothing', async (context) => {
  await using daemon = await startLimited(context)
  const { url, port } = daemon
  // Each cell of its screen and of the thousand lines above it has colors of its own: 2.7 MB as text.
  const cell = '\\033[38;2;1;%d;3;48;5;%dmx'
  const script = `awk 'BEGIN { for (i = 0; i < 80000; i++) printf "${cell}", i % 200, i % 100 }'; printf '\\033[0mdrawn'; read go; stty -onlcr; seq 1 20000; printf end; exec cat`
  const reader = await TerminalClient.open(url, 'Open', { name: TAG, command: 'sh', args: ['-c', script] })
  await reader.until(() => reader.text().includes('drawn'))
  const waited = await shell(url, "head -c 1000000 /dev/zero | tr '\\0' x; echo x >&2")
  const sockets: Socket[] = []
  for (const [count, method, message] of UNREAD)
    for (let index = 0; index < count; index++) sockets.push(await unread(port, method, message))
  const wait = { job: { pid: waited.pid }, tailBytes: 256 * 1024 }
  for (let index = 0; index < WAITING; index++) sockets.push(await unread(port, 'jobs.v1.Jobs/Wait', wait, true))

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
