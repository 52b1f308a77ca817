import { readFile, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { writeRunDir } from '../../src/startup/run-dir.ts'
import { recordingLog } from '../_util/recording-log.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test('A10 A11 the run directory is 0755 and .E2B_SANDBOX 0444, without a newline, whatever the umask is', async () => {
  await using tmp = await makeTmpDir()
  const { log, lines } = recordingLog()
  const dir = `${tmp.path}/run/e2b`
  const file = `${dir}/.E2B_SANDBOX`
  for (const [notFirecracker, text] of [
    [true, 'false'],
    [false, 'true'],
  ] as const) {
    await writeRunDir({ dir, notFirecracker, log })
    expect(await readFile(file, 'utf8')).toBe(text)
    expect((await stat(file)).mode & 0o7777).toBe(0o444)
    expect((await stat(dir)).mode & 0o7777).toBe(0o755)
  }
  expect(lines).toEqual([])
})

test('A9 a run directory that cannot be written is logged, and that is all', async () => {
  await using tmp = await makeTmpDir()
  const { log, lines } = recordingLog()
  await writeFile(`${tmp.path}/file`, '')
  await writeRunDir({ dir: `${tmp.path}/file/e2b`, notFirecracker: true, log })
  expect(lines).toMatchObject([{ level: 'error', errno: 'ENOTDIR' }])
})
