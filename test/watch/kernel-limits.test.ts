import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { raiseKernelLimits } from '../../src/watch/kernel-limits.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { silent } from './watching.ts'

test("C36 the kernel's limits are raised, and never lowered", async () => {
  await using tmp = await makeTmpDir()
  const at = (name: string) => `${tmp.path}/${name}`
  await writeFile(at('max_queued_events'), '16384\n')
  await writeFile(at('max_user_watches'), '20000000\n')
  await raiseKernelLimits(tmp.path, silent)
  expect(await readFile(at('max_queued_events'), 'utf8')).toBe('1048576\n')
  expect(await readFile(at('max_user_watches'), 'utf8')).toBe('20000000\n')
})

test('C36 limits that cannot be read or raised are logged at debug level only', async () => {
  await using tmp = await makeTmpDir()
  const lines: string[] = []
  const note = (level: string) => (_: unknown, message: string) => lines.push(`${level}: ${message}`)
  const log = { ...silent, debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') }
  await mkdir(`${tmp.path}/max_queued_events`)
  await writeFile(`${tmp.path}/max_user_watches`, 'not a number')
  await raiseKernelLimits(tmp.path, log)
  expect(lines).toEqual(['debug: a kernel limit cannot be raised'])
  expect(await readFile(`${tmp.path}/max_user_watches`, 'utf8')).toBe('not a number')
  await raiseKernelLimits(`${tmp.path}/none`, log)
  expect(lines).toHaveLength(3)
})
