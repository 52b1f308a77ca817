import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { run } from './run-process.ts'

async function script(path: string, text: string, mode = 0o755): Promise<void> {
  await writeFile(path, text)
  await chmod(path, mode)
}

async function makeDirectories(base: string, names: readonly string[]): Promise<string[]> {
  const paths = names.map((name) => join(base, name))
  for (const path of paths) await mkdir(path)
  return paths
}

test("D4 the first directory of the child's PATH that has the command wins", async () => {
  await using dir = await makeTmpDir()
  const [one, two] = await makeDirectories(dir.path, ['one', 'two'])
  await script(join(dir.path, 'one', 'hello'), '#!/bin/sh\necho one')
  await script(join(dir.path, 'two', 'hello'), '#!/bin/sh\necho two')
  expect((await run({ file: 'hello', env: [`PATH=${one}:${two}`] })).output).toBe('one\n')
  expect((await run({ file: 'hello', env: [`PATH=/nowhere:/etc/passwd:${two}:${one}`] })).output).toBe('two\n')
})

test('D4 a file that may not be executed is passed over for a later one, and reported only if there is none', async () => {
  await using dir = await makeTmpDir()
  const [one, two] = await makeDirectories(dir.path, ['one', 'two'])
  await script(join(dir.path, 'one', 'hello'), '#!/bin/sh\necho one', 0o644)
  await script(join(dir.path, 'two', 'hello'), '#!/bin/sh\necho two')
  expect((await run({ file: 'hello', env: [`PATH=${one}:${two}`] })).output).toBe('two\n')
  await expect(run({ file: 'hello', env: [`PATH=${one}:/nowhere`] })).rejects.toMatchObject({
    stage: 'exec',
    code: 'EACCES',
  })
})

test('D4 a relative path and an empty element of PATH are relative to the working directory', async () => {
  await using dir = await makeTmpDir()
  await script(join(dir.path, 'hello'), '#!/bin/sh\necho here')
  expect((await run({ file: './hello', cwd: dir.path })).output).toBe('here\n')
  for (const path of ['', ':/nowhere', '/nowhere:', '/nowhere::/bin', '.']) {
    expect((await run({ file: 'hello', cwd: dir.path, env: [`PATH=${path}`] })).output).toBe('here\n')
  }
})

test('D4 without a PATH the directories of the system are searched', async () => {
  expect((await run({ file: 'echo', args: ['found'], env: [] })).output).toBe('found\n')
})

test('a script without an interpreter line is run by the shell, with its arguments', async () => {
  await using dir = await makeTmpDir()
  await script(join(dir.path, 'plain'), 'echo "$0" "$@"')
  const path = join(dir.path, 'plain')
  expect((await run({ file: path, args: ['a b', ''] })).output).toBe(`${path} a b \n`)
  expect((await run({ file: 'plain', args: ['x'], env: [`PATH=${dir.path}`] })).output).toBe(`${path} x\n`)
})

test('argv[0] is the name that was asked for', async () => {
  expect((await run({ file: 'sh', args: ['-c', 'cat /proc/$$/cmdline | tr "\\0" " "'] })).output).toMatch(/^sh -c /)
})
