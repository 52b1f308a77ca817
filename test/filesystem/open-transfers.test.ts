import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { truncate, writeFile } from 'node:fs/promises'
import { type ClientHttp2Stream, connect } from 'node:http2'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { send } from '../_util/http.ts'
import { shell } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { descriptors } from '../process/proc.ts'

const LIMIT = 400

/** An eighth of the limit, for the test's own connections and commands. */
const KEPT = LIMIT / 8

test.each([
  { what: 'downloads', method: 'GET', query: 'path=large' },
  { what: 'uploads', method: 'POST', query: 'path=new' },
])('$what that do not go on leave descriptors to connections and commands', async ({ method, query }) => {
  await using dir = await makeTmpDir()
  await writeFile(`${dir.path}/large`, '')
  await truncate(`${dir.path}/large`, 1024 * 1024)
  await using daemon = await startDaemon()
  await shell(daemon.url, 'true')
  await promisify(execFile)('prlimit', ['--pid', String(daemon.pid), `--nofile=${LIMIT}`])
  const sessions = Array.from({ length: 5 }, () =>
    connect(daemon.url, { settings: { initialWindowSize: 0 } }).on('error', () => {}),
  )
  const asked = sessions.flatMap((session) =>
    Array.from({ length: 90 }, (_, index) => {
      const path = `/files?${query.replace('=', `=${dir.path}/`)}${method === 'POST' ? index : ''}`
      const headers = { 'content-type': 'application/octet-stream', ':method': method, ':path': path }
      const stream = session.request(headers, { endStream: method === 'GET' }).on('error', () => {})
      if (method === 'POST') stream.write(Buffer.alloc(100_000))
      return stream
    }),
  )
  const refused = await firstOf(asked, 503)
  expect(Number(refused['retry-after'])).toBeGreaterThan(0)
  expect(await descriptors(daemon.pid)).toBeLessThanOrEqual(LIMIT - KEPT + 16)
  expect((await send(`${daemon.url}/health`)).status).toBe(204)
  expect((await shell(daemon.url, 'echo through')).stdout.toString()).toBe('through\n')
  for (const session of sessions) session.destroy()
  await expect.poll(() => descriptors(daemon.pid)).toBeLessThan(LIMIT / 2)
})

/** The headers of the first answer with a status. */
function firstOf(streams: readonly ClientHttp2Stream[], status: number) {
  return Promise.any(
    streams.map(async (stream) => {
      const [headers] = await once(stream, 'response')
      if (headers[':status'] !== status) throw new Error(`${headers[':status']}`)
      return headers
    }),
  )
}
