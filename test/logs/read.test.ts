import { type Client, Code, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { Level, type Line, Logs } from '../../src/gen/logs/v1/logs_pb.js'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const daemon = sharedDaemon()
const clientOf = ({ url }: Pick<Daemon, 'url'>) =>
  createClient(Logs, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }))

/** The messages of a stream without follow. */
async function linesOf(client: Client<typeof Logs>, request: { level?: Level; from?: bigint; run?: string } = {}) {
  const lines: Line[] = []
  let start = { run: '', first: -1n, next: -1n }
  for await (const { event } of client.read(request)) {
    if (event.case === 'start') start = event.value
    if (event.case === 'line') lines.push(event.value)
  }
  return { start, lines, parsed: lines.map(({ json }) => JSON.parse(json)) }
}

test('lines of all levels are there, in order, with and without -verbose', async () => {
  const client = clientOf(daemon)
  const path = `/no/such/${crypto.randomUUID()}`
  await sendWhole(`${daemon.url}${path}`, { method: 'GET' })
  const { start, lines, parsed } = await linesOf(client)
  expect(parsed).toContainEqual(expect.objectContaining({ message: 'request', path, status: 404 }))
  expect(lines.map(({ number }) => number)).toEqual(lines.map((_, i) => start.first + BigInt(i)))
  expect(start.next).toBe(start.first + BigInt(lines.length))
  for (const [i, { level }] of lines.entries()) expect(Level[level].toLowerCase()).toBe(parsed[i].level)
})

test('with a level only lines of that level and above are sent', async () => {
  const { lines } = await linesOf(clientOf(daemon), { level: Level.WARN })
  for (const { level } of lines) expect(level).toBeGreaterThanOrEqual(Level.WARN)
})

test('a follower gets each line once, and goes on behind it in the same run', async () => {
  const client = clientOf(daemon)
  const { start } = await linesOf(client)
  const leave = new AbortController()
  const seen: bigint[] = []
  const follow = async () => {
    for await (const { event } of client.read(
      { follow: true, from: start.next, run: start.run },
      { signal: leave.signal },
    )) {
      if (event.case === 'start') await sendWhole(`${daemon.url}/no/such`, { method: 'GET' })
      if (event.case === 'line') seen.push(event.value.number)
      if (seen.length === 4) return
      if (event.case === 'line') await sendWhole(`${daemon.url}/no/such`, { method: 'GET' })
    }
  }
  await follow()
  expect(seen).toEqual([0n, 1n, 2n, 3n].map((i) => start.next + i))
})

test('a number beyond the next line is out of range, but not if it is of another run', async () => {
  const client = clientOf(daemon)
  await expect(linesOf(client, { from: 999_999n })).rejects.toMatchObject({ code: Code.OutOfRange })
  await expect(linesOf(client, { level: 9 as Level })).rejects.toMatchObject({ code: Code.InvalidArgument })
  expect((await linesOf(client, { from: 999_999n, run: 'of an earlier daemon' })).lines).not.toEqual([])
})

test('the log needs the access token', async () => {
  await using own = await startDaemon()
  await sendWhole(`${own.url}/init`, { method: 'POST', body: JSON.stringify({ accessToken: 'secret' }) })
  await expect(linesOf(clientOf(own))).rejects.toMatchObject({ code: Code.Unauthenticated })
})
