import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const keeper = fileURLToPath(new URL('../../dist/envd-keeper', import.meta.url))

/** The keeper over a shell script in the place of the daemon. */
function keep(script: string, words: readonly string[] = []) {
  const child = spawn(keeper, ['/bin/sh', '-c', script, 'sh', ...words], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal }))
  return { child, ended }
}

test.each([0, 1, 2, 77])('a program that ends with %d before it listens is not started again', async (code) => {
  expect(await keep(`exit ${code}`).ended).toEqual({ code, signal: null })
})

test('a program that is missing ends it with 127, one that cannot be run with 126', async () => {
  for (const [program, code] of [
    ['/nowhere', 127],
    ['/etc/passwd', 126],
  ] as const) {
    const child = spawn(keeper, [program], { stdio: 'ignore' })
    expect(await once(child, 'close')).toEqual([code, null])
  }
})

test('a program that a signal kills is started again, with longer and longer pauses, and SIGTERM ends it all', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'starts')
  const { child, ended } = keep('echo $$ >>"$1"; kill -ABRT $$', [file])
  const starts = async () => (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1
  await expect.poll(starts).toBeGreaterThan(4)
  child.kill('SIGTERM')
  const { code, signal } = await ended
  // In a pause, or while the program runs: before its own signal, or after it.
  expect([0, 134, 'SIGTERM', 'SIGABRT']).toContain(signal ?? code)
  expect(await starts()).toBeLessThan(20)
})

test.each(['SIGTERM', 'SIGINT'] as const)('%s is forwarded, and the end that follows is passed on', async (signal) => {
  const { child, ended } = keep(`trap 'exit 5' TERM INT; echo up; while :; do sleep 0.05; done`)
  await once(child.stdout, 'data')
  child.kill(signal)
  expect(await ended).toEqual({ code: 5, signal: null })
  const other = keep('echo up; exec sleep 1000')
  await once(other.child.stdout, 'data')
  other.child.kill(signal)
  expect(await other.ended).toEqual({ code: null, signal })
})

test('signals that mean nothing to it are ignored', async () => {
  const { child, ended } = keep(`trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done`)
  await once(child.stdout, 'data')
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGQUIT'] as const) child.kill(signal)
  expect(child.kill('SIGTERM')).toBe(true)
  expect(await ended).toEqual({ code: 0, signal: null })
})

test('orphans below it are reaped', async () => {
  const { child, ended } = keep(
    `(sleep 0.1 & sleep 0.1 & sleep 0.1 &); echo up; trap 'exit 0' TERM; while :; do sleep 0.05; done`,
  )
  await once(child.stdout, 'data')
  const children = async () => (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).trim()
  await expect.poll(async () => (await children()).split(' ').length).toBe(1)
  child.kill('SIGTERM')
  expect((await ended).code).toBe(0)
})
