import { execFileSync } from 'node:child_process'
import { appendFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { ownName } from '../../src/users/own-user.ts'
import { MAX_USER_FILE_BYTES } from '../../src/users/user-file.ts'
import { createUsers } from '../../src/users/users.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { makeFiles } from './user-files.ts'

test('A41 users are found by name, with uid, gid and home', async () => {
  await using files = await makeFiles('root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann,,,:/home/ann:/bin/bash\n', '')
  expect(await files.users.find('ann')).toEqual({ name: 'ann', uid: 1000, gid: 1001, home: '/home/ann' })
  expect(await files.users.find('')).toBeUndefined()
  expect(await files.users.find('bob')).toBeUndefined()
})

test('A41 comments, short lines and numbers that are none are skipped, the first line of a name counts', async () => {
  const text =
    '# x:x:1:1::/:\n\nbad\nneg:x:-1:1::/:\nbig:x:4294967296:1::/:\nnone:x:4294967295:1::/:\nnogroup:x:1:4294967295::/:\nlast:x:4294967294:4294967294:::\nrel:x:8:8::home/rel:\nann:x:5:6::/a:/x\nann:x:7:8::/b:/x\nbare:x:9:9\n'
  await using files = await makeFiles(text, '')
  expect(await files.users.find('ann')).toMatchObject({ uid: 5, home: '/a' })
  expect(await files.users.find('bare')).toMatchObject({ home: '/' })
  expect(await files.users.find('rel')).toMatchObject({ home: '/' })
  expect(await files.users.find('last')).toMatchObject({ uid: 4294967294, gid: 4294967294, home: '/' })
  for (const name of ['neg', 'big', 'none', 'nogroup', 'bad', '# x'])
    expect(await files.users.find(name)).toBeUndefined()
})

test('A41 a user is seen as soon as he is added, also when the file is replaced', async () => {
  await using files = await makeFiles('ann:x:1:1::/a:\n', '')
  expect(await files.users.find('bob')).toBeUndefined()
  await appendFile(files.passwd, 'bob:x:2:2::/b:\n')
  expect(await files.users.find('bob')).toMatchObject({ uid: 2 })
  await writeFile(`${files.passwd}+`, 'eve:x:3:3::/e:\n')
  await rename(`${files.passwd}+`, files.passwd)
  expect(await files.users.find('eve')).toMatchObject({ uid: 3 })
  expect(await files.users.find('bob')).toBeUndefined()
})

test('A41 of a file of any size a mebibyte of lines counts, read in turns', async () => {
  const line = (number: number) => `u${number}:x:${number}:1::/home/u${number}:\n`
  const lines = Array.from({ length: 200_000 }, (_, number) => line(number))
  await using files = await makeFiles(lines.join(''), `all:x:7:${lines.map((_, i) => `u${i}`).join(',')}\n`)
  let turns = 0
  const count = setInterval(() => turns++)
  const first = await files.users.find('u1')
  clearInterval(count)
  expect(first).toMatchObject({ uid: 1 })
  expect(turns).toBeGreaterThan(1)
  expect(await files.users.find('u20000')).toMatchObject({ uid: 20_000 })
  // No line is cut.
  const last = (await files.users.names()).users.size - 1
  expect(await files.users.find(`u${last}`)).toMatchObject({ uid: last, home: `/home/u${last}` })
  expect(lines.slice(0, last + 1).join('').length).toBeLessThanOrEqual(MAX_USER_FILE_BYTES)
  expect(lines.slice(0, last + 2).join('').length).toBeGreaterThan(MAX_USER_FILE_BYTES)
  expect(await files.users.find(`u${last + 1}`)).toBeUndefined()
})

test('A41 a file that never ends, or that nobody writes, has no users', async () => {
  await using files = await makeFiles('', '')
  await rm(files.passwd)
  await symlink('/dev/zero', files.passwd)
  expect(await files.users.find('ann')).toBeUndefined()
  await rm(files.passwd)
  execFileSync('mkfifo', [files.passwd])
  expect(await files.users.find('ann')).toBeUndefined()
})

test('A41 a file that is mounted over the other counts, and the other again after it', async (context) => {
  needsNamespace(context)
  await using files = await makeFiles('ann:x:1:1::/a:\n', '')
  const other = `${files.passwd}.other`
  await writeFile(other, 'bob:x:2:1::/a:\n')
  expect(await files.users.find('ann')).toMatchObject({ uid: 1 })
  execFileSync('mount', ['--bind', other, files.passwd])
  expect(await files.users.find('bob')).toMatchObject({ uid: 2 })
  execFileSync('umount', [files.passwd])
  expect(await files.users.find('ann')).toMatchObject({ uid: 1 })
})

test('a home that is given for a user wins over the one in the file', async () => {
  await using files = await makeFiles('ann:x:1:1::/a:\nbob:x:2:2::/b:\n', '')
  const users = createUsers({
    ...files,
    homes: new Map([
      ['ann', '/given'],
      ['nobody', '/nowhere'],
    ]),
  })
  expect(await users.find('ann')).toMatchObject({ uid: 1, home: '/given' })
  expect(await users.find('bob')).toMatchObject({ home: '/b' })
  expect(await users.find('nobody')).toBeUndefined()
})

test('C7 numbers have names, and stay numbers where they have none', async () => {
  await using files = await makeFiles('ann:x:5:6::/a:\nalso:x:5:6::/a:\n', 'staff:x:6:\n')
  expect(await files.users.nameOf(5)).toBe('ann')
  expect(await files.users.nameOf(77)).toBe('77')
  expect(await files.users.groupNameOf(6)).toBe('staff')
  expect(await files.users.groupNameOf(77)).toBe('77')
})

test('D7 groups are the primary one first, then those that list the user', async () => {
  const groups = 'root:x:0:\nann:x:100:ann\nsudo:x:27:eve,ann\nvideo:x:44:ann \nother:x:45:annika\n'
  await using files = await makeFiles('ann:x:100:100::/a:\n', groups)
  const ann = await files.users.find('ann')
  expect(ann && (await files.users.groupsOf(ann))).toEqual([100, 27, 44])
})

test('A41 missing files mean no users, and the primary group alone', async () => {
  const users = createUsers({ passwd: '/no/such/passwd', group: '/no/such/group' })
  expect(await users.find('root')).toBeUndefined()
  expect(await users.groupsOf({ name: 'x', uid: 1, gid: 2, home: '/' })).toEqual([2])
})

test('D7 groups equal those that su gives', async (context) => {
  needsNamespace(context)
  const users = createUsers()
  for (const name of ['root', 'user', 'other']) {
    const user = await users.find(name)
    const expected = execFileSync('su', ['-', name, '-c', 'id -G'], { encoding: 'utf8' }).trim().split(' ').map(Number)
    const groups = user && (await users.groupsOf(user))
    expect(groups?.[0]).toBe(expected[0])
    expect(groups?.toSorted()).toEqual(expected.toSorted())
  }
})

test('A38 the daemon finds the user it runs as where no file knows it', async () => {
  await using files = await makeFiles('ann:x:1000:1001::/home/ann:/bin/bash\n', '')
  const own = { name: '54321', uid: 54321, gid: 54321, home: '/work' }
  const users = createUsers({ passwd: files.passwd, group: files.group, own })
  expect(await users.find('54321')).toEqual(own)
  expect(await users.groupsOf(own)).toEqual([54321])
  expect(await ownName(users, own)).toBe('54321')
  expect(await users.find('54322')).toBeUndefined()
})

test('A38 the name in the file comes before the number', async () => {
  await using files = await makeFiles('ann:x:1000:1001::/home/ann:/bin/bash\n', '')
  const own = { name: '1000', uid: 1000, gid: 1001, home: '/work' }
  expect(await ownName(createUsers({ passwd: files.passwd, group: files.group, own }), own)).toBe('ann')
})

test('A38 root is root without any file', async () => {
  await using files = await makeFiles('', '')
  const own = { name: 'root', uid: 0, gid: 0, home: '/' }
  expect(await ownName(createUsers({ passwd: files.passwd, group: files.group, own }), own)).toBe('root')
})
