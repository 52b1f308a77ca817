import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { shell } from '../_util/rpc.ts'
import { residentMegabytes } from '../process/proc.ts'

test('a daemon that has started and run a command holds less than 70 MB', async () => {
  await using daemon = await startDaemon()
  expect((await shell(daemon.url, 'echo here')).stdout.toString()).toBe('here\n')
  expect(await residentMegabytes(daemon.pid)).toBeLessThan(70)
})
