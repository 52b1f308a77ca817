import { expect, test } from 'vitest'
import { freezeFilesystem, thawFilesystem } from '../../src/native/index.ts'
import { makeLoopDisk, needsLoopDisks } from '../_util/loop-disk.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test('B60 a filesystem is frozen once and thawed once', async (context) => {
  await needsLoopDisks(context)
  await using directory = await makeTmpDir()
  await using disk = await makeLoopDisk(directory.path, context)
  const path = Buffer.from(disk.path)
  const failure = (code: string, syscall: string) => expect.objectContaining({ code, syscall })
  await expect(thawFilesystem(path)).rejects.toEqual(failure('EINVAL', 'FITHAW'))
  await freezeFilesystem(path)
  await expect(freezeFilesystem(path)).rejects.toEqual(failure('EBUSY', 'FIFREEZE'))
  await thawFilesystem(path)
  await expect(thawFilesystem(path)).rejects.toEqual(failure('EINVAL', 'FITHAW'))
})

test('a filesystem of the kernel cannot be frozen, a path with a NUL byte or to nothing is none', async () => {
  const root = process.getuid?.() === 0
  await expect(freezeFilesystem(Buffer.from('/proc'))).rejects.toMatchObject({ code: root ? 'EOPNOTSUPP' : 'EPERM' })
  await expect(thawFilesystem(Buffer.from('/proc'))).rejects.toMatchObject({ code: root ? 'EINVAL' : 'EPERM' })
  for (const call of [freezeFilesystem, thawFilesystem]) {
    await expect(call(Buffer.from('/nowhere'))).rejects.toMatchObject({ code: 'ENOENT', syscall: 'open' })
    await expect(call(Buffer.from('/proc/version'))).rejects.toMatchObject({ code: 'ENOTDIR', syscall: 'open' })
    expect(() => call(Buffer.from('/proc\0'))).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  }
})
