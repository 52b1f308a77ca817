import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { mountFuse, waitsForFuse } from '../_util/dead-mount.ts'
import { sendWhole } from '../_util/http.ts'
import { open } from '../_util/rpc.ts'

test('what a dead mount holds up ends with its deadline, and holds up no other copy', async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  mount.die()
  const headers = { 'connect-timeout-ms': '1000' }
  const held = [
    ['Copy', { source: mount.path, destination: `${mount.path}-copy`, recursive: true }],
    ['Copy', { source: '/etc/passwd', destination: join(mount.path, 'passwd') }],
    ['SetAttributes', { path: mount.path, mode: 0o700, recursive: true }],
    ['DiskUsage', { path: mount.path }],
    ['DiskUsage', { path: join(mount.path, 'file') }],
  ] as const
  const ends = held.map(async ([method, request]) => {
    const stream = await open(daemon.url, `files.v1.Files/${method}`, request, { headers })
    return (await stream.rest()).end.error?.code
  })
  await expect.poll(() => waitsForFuse(daemon.pid)).toBe(true)
  expect(await Promise.all(ends)).toEqual(held.map(() => 'deadline_exceeded'))

  const dir = join(mount.path, '..', 'alive')
  await mkdir(dir)
  await writeFile(join(dir, 'file'), 'text')
  const request = { source: dir, destination: `${dir}-copy`, recursive: true }
  const copied = await (await open(daemon.url, 'files.v1.Files/Copy', request)).rest()
  expect(copied.end.error).toBeUndefined()
  expect(await readFile(`${dir}-copy/file`, 'utf8')).toBe('text')
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  expect(await daemon.stop()).toBe(0)
})
