import { chmod, chown, lchown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles, write } from './served.ts'

beforeEach((context) => needsRoot(context))

/** A file that only root may read, and links of ann's to it and its directory. */
async function plant({ people, home }: Served) {
  const closed = join(people.dir, 'closed')
  await mkdir(closed, { mode: 0o700 })
  const secret = join(closed, 'secret')
  await writeFile(secret, 'secret', { mode: 0o600 })
  for (const [name, target] of [
    ['link', secret],
    ['dir', closed],
  ] as const) {
    await symlink(target, join(home, name))
    await lchown(join(home, name), people.ann.uid, people.ann.gid)
  }
  return { closed, secret }
}

test('no link leads to what is not its owner’s', async () => {
  await using files = await serveFiles()
  const { closed, secret } = await plant(files)
  const refused = refusal('permission_denied', /must not be followed/)
  for (const path of ['link', 'dir/secret', 'dir/new']) {
    await expect(files.readLines({ path })).rejects.toEqual(refused)
    await expect(files.edit({ files: [write(path, 'x')] })).rejects.toEqual(refused)
  }
  expect(await readdir(closed)).toEqual(['secret'])
  expect(await readFile(secret, 'utf8')).toBe('secret')
})

test("an edit of another user's file leaves it theirs", async () => {
  await using files = await serveFiles()
  const { secret } = await plant(files)
  await files.edit({ files: [write(secret, 'x')] })
  expect(await stat(secret)).toMatchObject({ uid: 0, mode: 0o100600 })
  await files.undo()
  expect(await stat(secret)).toMatchObject({ uid: 0, mode: 0o100600 })
  expect(await readFile(secret, 'utf8')).toBe('secret')
})

test('a strict user reads and edits what they may in a shell', async () => {
  await using files = await serveFiles({ strictFileUsers: true })
  const { secret } = await plant(files)
  const refused = refusal('permission_denied', /permission denied/)
  await expect(files.readLines({ path: secret })).rejects.toEqual(refused)
  await expect(files.edit({ files: [write(secret, 'x')] })).rejects.toEqual(refused)
  const readable = join(files.home, 'readable')
  await writeFile(readable, 'of root')
  await chmod(readable, 0o644)
  await chown(readable, 0, 0)
  await expect(files.edit({ files: [write('mine', 'x'), write(readable, 'x')] })).rejects.toEqual(refused)
  expect((await readdir(files.home)).sort()).toEqual(['dir', 'link', 'readable'])
  await files.edit({ files: [write('mine', 'x')] })
  expect((await stat(join(files.home, 'mine'))).uid).toBe(files.people.ann.uid)
  await files.undo()
  await files.edit({ files: [write(readable, 'x')] }, { user: 'root' })
})
