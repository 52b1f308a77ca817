import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'

const fixture = fileURLToPath(new URL('fixtures/as-process-one.ts', import.meta.url))

test('as process 1 the reaping of orphans leaves the exit codes of host commands alone', async (context) => {
  needsNamespace(context)
  const args = ['--fork', '--pid', '--mount-proc', '--kill-child', process.execPath, fixture]
  const { stdout } = await promisify(execFile)('unshare', args, { timeout: 60_000 })
  expect(stdout).toBe('pid 1: 200 of 200\n')
}, 60_000)
