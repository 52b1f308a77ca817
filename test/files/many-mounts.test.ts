import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { mountFuse } from '../_util/dead-mount.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const MOUNTS = 300
/** Four times what is read of the list at once. */
const BEHIND_BYTES = 256 * 1024

test('a search leaves out a dead mount that stands behind many others', { timeout: 60_000 }, async (context) => {
  await using others = await makeTmpDir()
  needsNamespace(context)
  const long = join(others.path, ...Array.from({ length: 4 }, () => 'n'.repeat(250)))
  await mkdir(long, { recursive: true })
  const script = `for i in $(seq ${MOUNTS}); do mount --bind "$0" "$0"; done`
  await promisify(execFile)('sh', ['-c', script, long])
  await using dead = await mountFuse(context)
  expect((await readFile('/proc/self/mountinfo')).indexOf(dead.path)).toBeGreaterThan(BEHIND_BYTES)
  await writeFile(join(dirname(dead.path), 'first'), 'text')
  await using daemon = await startDaemon()
  dead.die()
  const request = { path: dirname(dead.path), pattern: 'text' }
  const { messages, end } = await (await open<unknown>(daemon.url, 'files.v1.Files/Grep', request)).rest()
  expect(end.error).toBeUndefined()
  expect(messages.at(-1)).toMatchObject({ summary: { matchingLines: '1', unreadable: true } })
  expect(await daemon.stop()).toBe(0)
  await promisify(execFile)('sh', ['-c', `for i in $(seq ${MOUNTS}); do umount "$0"; done`, long])
})
