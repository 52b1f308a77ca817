import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { makeLoopDisk, needsLoopDisks } from '../../_util/loop-disk.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { installOnDisk, takesWrites } from './frozen-daemon.ts'

const launcher = fileURLToPath(new URL('../../../scripts/envd', import.meta.url))

test('B60 H12 a daemon that is killed while its disk is frozen starts again, answers, and can thaw it', async (context) => {
  await needsLoopDisks(context)
  await using directory = await makeTmpDir()
  await using disk = await makeLoopDisk(directory.path, context)
  await installOnDisk(disk)
  const start = () =>
    startDaemon({ launch: ['chroot', disk.path, launcher], args: ['-run-dir', '/run/e2b', '-verbose'] })
  const first = await start()
  expect((await sendWhole(`${first.url}/fsfreeze`, { method: 'POST' })).status).toBe(204)
  process.kill(first.launched, 'SIGKILL')
  await first.ended
  expect(await takesWrites(join(disk.path, 'probe'))).toBe(false)

  await using second = await start()
  const health = await sendWhole(`${second.url}/health`)
  const thaw = await sendWhole(`${second.url}/fsthaw`, { method: 'POST' })
  expect([health.status, thaw.status]).toEqual([204, 204])
  expect(await takesWrites(join(disk.path, 'probe'))).toBe(true)
  await expect.poll(() => readFile(join(disk.path, 'run/e2b/.E2B_SANDBOX'), 'utf8').catch(() => '')).toBe('false')
})
