import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createUsers } from '../../src/users/users.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** Users of files in a directory, of which `ann` is one. */
async function makeUsers(dir: string, groups = '') {
  const [passwd, group] = [join(dir, 'passwd'), join(dir, 'group')]
  await writeFile(passwd, 'ann:x:1000:1001::/home/ann:/bin/sh\n')
  await writeFile(group, groups)
  return { passwd, users: createUsers({ passwd, group }) }
}

test('A41 what was looked up since a call came is not looked up again in it, and the next call sees every change', async () => {
  await using dir = await makeTmpDir()
  const { passwd, users } = await makeUsers(dir.path)
  expect(users.known('ann')).toBeUndefined()
  const first = performance.now()
  expect(await users.find('ann')).toMatchObject({ uid: 1000 })
  await appendFile(passwd, 'bob:x:1002:1002::/home/bob:/bin/sh\n')
  expect(users.known('ann', first)).toMatchObject({ uid: 1000 })
  expect(users.known('bob', first)).toBeUndefined()
  // The file has changed since the last look: it has to be read.
  expect(users.known('bob', performance.now())).toBeUndefined()
  expect(users.known('bob')).toBeUndefined()
  expect(await users.find('bob')).toMatchObject({ uid: 1002 })
})

test('both names of an owner are known at once, or neither', async () => {
  await using dir = await makeTmpDir()
  const { users } = await makeUsers(dir.path, 'staff:x:1001:\n')
  expect(users.knownNames(1000, 1001)).toBeUndefined()
  expect(await users.nameOf(1000)).toBe('ann')
  expect(users.knownNames(1000, 1001)).toBeUndefined()
  expect(await users.groupNameOf(1001)).toBe('staff')
  expect(users.knownNames(1000, 1001)).toEqual({ owner: 'ann', group: 'staff' })
  expect(users.knownNames(1000, 7)).toBeUndefined()
  expect(users.knownNames(7, 1001)).toBeUndefined()
})
