import { execFile } from 'node:child_process'
import { appendFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, type TestContext, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const run = promisify(execFile)
const script = fileURLToPath(new URL('../../scripts/seed-certificates', import.meta.url))

/** An image with certificates on its disk, and an archive of others that were packed. */
async function image(context: TestContext) {
  needsNamespace(context)
  await using undo = new AsyncDisposableStack()
  const { path } = undo.use(await makeTmpDir())
  const [archive, memory, target, packed] = ['certs.tar', 'memory', 'certs', 'packed'].map((name) => join(path, name))
  if (!archive || !memory || !target || !packed) throw new Error('no paths')
  for (const directory of [target, packed]) await mkdir(directory)
  await writeFile(join(target, 'ca-certificates.crt'), 'of the image')
  await writeFile(join(packed, 'ca-certificates.crt'), 'packed')
  undo.defer(async () => {
    await run('umount', [target]).catch(() => {})
    await run('umount', [memory]).catch(() => {})
  })
  const owned = undo.move()
  return {
    archive,
    memory,
    target,
    pack: (...names: string[]) => run('tar', ['-cf', archive, '-C', packed, ...names]),
    seed: () => run(script, [archive, memory, target]),
    bundle: () => readFile(join(target, 'ca-certificates.crt'), 'utf8'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

test('K1 packed certificates take the place of those on the disk, in memory, once', async (context) => {
  await using own = await image(context)
  await own.pack('.')
  await own.seed()
  expect(await own.bundle()).toBe('packed')
  expect((await run('stat', ['-f', '-c', '%T', own.target])).stdout).toBe('tmpfs\n')
  await appendFile(join(own.target, 'ca-certificates.crt'), ' and added')
  await own.seed()
  expect(await own.bundle()).toBe('packed and added')
  await run('umount', [own.target])
  expect(await own.bundle()).toBe('of the image')
})

test('K1 without an archive all stays as it is', async (context) => {
  await using own = await image(context)
  expect(await own.seed()).toEqual({ stdout: '', stderr: '' })
  expect(await own.bundle()).toBe('of the image')
  await expect(stat(own.memory)).rejects.toThrow('ENOENT')
})

test('K1 an archive that is damaged, or has no certificates in it, is not used, and that is no failure', async (context) => {
  await using own = await image(context)
  const unused = async () => {
    expect((await own.seed()).stderr).toContain('is not used')
    expect(await own.bundle()).toBe('of the image')
    expect(await readdir(own.target)).toEqual(['ca-certificates.crt'])
    await expect(stat(own.memory)).rejects.toThrow('ENOENT')
  }
  await writeFile(own.archive, 'no archive at all')
  await unused()
  await run('tar', ['-cf', own.archive, '--files-from', '/dev/null'])
  await unused()
})
