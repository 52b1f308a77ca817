import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const keeper = fileURLToPath(new URL('../../dist/envd-keeper', import.meta.url))
const depositor = fileURLToPath(new URL('./fixtures/depositor.ts', import.meta.url))

test('descriptors, notes and ends of processes are there for the next one, those that were dropped are not', async () => {
  await using dir = await makeTmpDir()
  const report = join(dir.path, 'report')
  const child = spawn(keeper, [process.execPath, '--disable-warning=ExperimentalWarning', depositor, report], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  expect(await once(child, 'close')).toEqual([3, null])
  const { lastStatus, kept, found } = JSON.parse(await readFile(report, 'utf8'))
  expect({ lastStatus, kept }).toEqual({ lastStatus: 9, kept: 'kept' })
  const expected = Array.from({ length: 200 }, (_, i) => ({ output: i, code: i % 100, note: 7, others: 1 }))
  const byOutput = (a: { output: number }, b: { output: number }) => a.output - b.output
  expect(found.sort(byOutput)).toEqual(expected.filter((_, i) => i % 10 !== 0))
})
