import { stat } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { residentMegabytes } from '../process/proc.ts'

const GIB = 1024 ** 3
const MIB = 1024 ** 2
/** Far below the size of the file: what does not stream shows at once. */
const ALLOWED_GROWTH_MB = 40

test('a file of 1 GiB goes up and down without the daemon growing', { timeout: 120_000 }, async () => {
  await using daemon = await startDaemon()
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'big')
  const before = await residentMegabytes(daemon.pid)
  expect(await upload(daemon, path)).toBe(200)
  expect((await stat(path)).size).toBe(GIB)
  expect(await download(daemon, path)).toBe(GIB)
  expect((await residentMegabytes(daemon.pid)) - before).toBeLessThan(ALLOWED_GROWTH_MB)
})

function upload({ port }: Daemon, path: string): Promise<number | undefined> {
  const chunk = Buffer.alloc(MIB, 'x')
  return new Promise((resolve, reject) => {
    const outgoing = request({
      port,
      method: 'POST',
      path: `/files?path=${encodeURIComponent(path)}`,
      headers: { 'content-type': 'application/octet-stream' },
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode)))
    let left = GIB
    const more = () => {
      while (left > 0) {
        left -= chunk.length
        if (!outgoing.write(chunk)) return
      }
      outgoing.off('drain', more)
      outgoing.end()
    }
    outgoing.on('drain', more)
    more()
  })
}

function download({ port }: Daemon, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, path: `/files?path=${encodeURIComponent(path)}` })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
      })
      response.on('end', () => resolve(bytes))
      response.on('error', reject)
    })
    outgoing.end()
  })
}
