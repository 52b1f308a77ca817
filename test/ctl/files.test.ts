import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { ctl } from './ctl.ts'

const daemon = commonDaemon()

async function run(args: readonly string[], input?: string | Uint8Array) {
  const { code, stdout, stderr } = await ctl(daemon.url, args, input === undefined ? {} : { input })
  return { code, stdout: stdout.toString(), stderr }
}

test('ls and cat show a directory, and files as they are', async () => {
  await using dir = await makeTmpDir()
  const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, index) => (index * 31) & 0xff))
  writeFileSync(join(dir.path, 'a b&c'), bytes)
  expect((await run(['ls', dir.path])).stdout).toMatch(/MODE .*NAME\n-rw-r--r-- .* 1000000 .* a b&c\n/)
  expect((await ctl(daemon.url, ['cat', join(dir.path, 'a b&c')])).stdout.equals(bytes)).toBe(true)
  expect(await run(['cat', join(dir.path, 'missing')])).toMatchObject({
    code: 125,
    stderr: expect.stringMatching(/does not exist/),
  })
})

test('find and grep search, and say when there is nothing or more', async () => {
  await using dir = await makeTmpDir()
  mkdirSync(join(dir.path, 'd'))
  writeFileSync(join(dir.path, 'd/a.ts'), 'one\nTwo\nthree\n')
  writeFileSync(join(dir.path, 'b.py'), 'two\n')
  const found = await run(['find', dir.path, '-g', '*.ts'])
  expect(found).toEqual({ code: 0, stdout: `${dir.path}/d/a.ts\n`, stderr: '' })
  expect(await run(['grep', '-i', '-C', '1', '-g', '*.ts', 'two', dir.path])).toEqual({
    code: 0,
    stdout: `${dir.path}/d/a.ts-1-one\n${dir.path}/d/a.ts:2:Two\n${dir.path}/d/a.ts-3-three\n`,
    stderr: '',
  })
  expect(await run(['grep', 'nothing', dir.path])).toEqual({ code: 1, stdout: '', stderr: '' })
  expect((await run(['grep', '-c', 'o', join(dir.path, 'd')])).stdout).toBe(`${dir.path}/d/a.ts:2\n`)
  expect((await run(['grep', '--limit', '1', '.', dir.path])).stderr).toContain('there are more')
  expect(await run(['grep', '(', dir.path])).toMatchObject({
    code: 125,
    stderr: expect.stringMatching(/unclosed group/),
  })
})

test('edit replaces text or the whole content, and shows the diff', async () => {
  await using dir = await makeTmpDir()
  const file = join(dir.path, 'f')
  writeFileSync(file, 'one one\n')
  expect((await run(['edit', file, '--old', 'one', '--new', 'x'])).stderr).toContain('more than once')
  const dry = await run(['edit', '-n', file, '--old', 'one', '--new', 'x', '-a'])
  expect(dry.stdout).toContain('-one one\n+x x\n')
  expect(readFileSync(file, 'utf8')).toBe('one one\n')
  await run(['edit', file, '--old', 'one', '--new', 'x', '-a'])
  expect(readFileSync(file, 'utf8')).toBe('x x\n')
  await run(['edit', file], 'whole\n')
  expect(readFileSync(file, 'utf8')).toBe('whole\n')
  expect(await run(['edit', file, '--new', 'x'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/need --old/),
  })
})
