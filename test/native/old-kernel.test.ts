import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { straceMissing } from '../_util/strace.ts'
import { devNull } from './run-process.ts'

/**
 * The descriptors of a child of a process that inherited 200, while close_range fails as older kernels make it fail.
 */
async function descriptorsWith(fault: string): Promise<string> {
  const script = join(import.meta.dirname, 'fixtures/list-descriptors.ts')
  const args = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=close_range', '-e', fault, process.execPath, script]
  // What Node opens itself is close-on-exec and would be closed in any case; these are not.
  const inherited = Array.from({ length: 200 }, () => devNull)
  const child = spawn('strace', args, { stdio: ['ignore', 'pipe', 'inherit', ...inherited] })
  const [, stdout] = child.stdio
  if (stdout === null) throw new Error('no stdout')
  return await text(stdout)
}

test.skipIf(straceMissing()).each([
  ['close_range', 'inject=close_range:error=ENOSYS'],
  ['close_range, refused by seccomp', 'inject=close_range:error=EPERM'],
])('without %s a child still has descriptors 0, 1 and 2 only (skipped without strace)', async (_title, fault) => {
  expect(await descriptorsWith(fault)).toBe('own 200 or more\n0 1 2\n')
})
