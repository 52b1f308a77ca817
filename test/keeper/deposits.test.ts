import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const keeper = fileURLToPath(new URL('../../dist/envd-keeper', import.meta.url))
const program = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url))
const node = [process.execPath, '--disable-warning=ExperimentalWarning']

test('descriptors, notes and ends of processes are there for the next one, those that were dropped are not', async () => {
  await using dir = await makeTmpDir()
  const report = join(dir.path, 'report')
  const child = spawn(keeper, [...node, program('depositor'), report], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  expect(await once(child, 'close')).toEqual([3, null])
  const { lastStatus, kept, found } = JSON.parse(await readFile(report, 'utf8'))
  expect({ lastStatus, kept }).toEqual({ lastStatus: 9, kept: 'kept' })
  const expected = Array.from({ length: 200 }, (_, i) => ({ output: i, code: i % 100, note: 7, others: 1 }))
  const byOutput = (a: { output: number }, b: { output: number }) => a.output - b.output
  expect(found.sort(byOutput)).toEqual(expected.filter((_, i) => i % 10 !== 0))
})

test.each([300, 700])('a keeper of %d descriptors that is full keeps another state all the same', async (limit) => {
  await using dir = await makeTmpDir()
  const report = join(dir.path, 'report')
  const words = ['-c', `ulimit -n ${limit}; exec "$@"`, 'sh', keeper, ...node, program('full'), report]
  const child = spawn('/bin/sh', words, { stdio: ['ignore', 'inherit', 'inherit'] })
  expect(await once(child, 'close')).toEqual([3, null])
  expect(JSON.parse(await readFile(report, 'utf8'))).toEqual({ state: 'three', others: true })
})

test.each([
  [1, [3, null], 'kept at 2'],
  [1000, [null, 'SIGKILL'], ''],
] as const)(
  'a state that is refused %d times is kept at last, or the daemon is not started again',
  async (times, end, state) => {
    await using dir = await makeTmpDir()
    const report = join(dir.path, 'report')
    const child = spawn(keeper, [...node, program('refused'), report, String(times)], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    expect(await once(child, 'close')).toEqual(end)
    expect(await readFile(report, 'utf8').catch(() => '')).toBe(state)
  },
)

test('another daemon that is asked for right after one was cancelled is not taken for that', async () => {
  const child = spawn(keeper, [...node, program('canceller')], { stdio: ['ignore', 'inherit', 'inherit'] })
  expect(await once(child, 'close')).toEqual([3, null])
})

test('SIGTERM that meets a crash comes to the next one, when that listens', async () => {
  const child = spawn(keeper, [...node, program('stopped')], { stdio: ['ignore', 'inherit', 'inherit'] })
  expect(await once(child, 'close')).toEqual([3, null])
})
