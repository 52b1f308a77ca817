import { expect, test } from 'vitest'
import { resolvePath, selectUser } from '../../src/users/paths.ts'
import { createUsers } from '../../src/users/users.ts'
import { makePeople } from '../_util/people.ts'

const ann = { name: 'ann', uid: 1, gid: 1, home: '/home/ann' }

test.each([
  ['', undefined, '/home/ann'],
  ['', '/work', '/work'],
  ['', '', '/home/ann'],
  ['a', '/work', '/home/ann/a'],
  ['./a/../b//c/', '/work', '/home/ann/b/c'],
  ['..', undefined, '/home'],
  ['../../../..', undefined, '/'],
  ['~', '/work', '/home/ann'],
  ['~/', undefined, '/home/ann'],
  ['~/x/../y', undefined, '/home/ann/y'],
  ['~\\x', undefined, '/home/ann/\\x'],
  ['/tmp/../etc//hostname', '/work', '/tmp/../etc//hostname'],
  ['/', undefined, '/'],
  ['/a/', undefined, '/a/'],
  ['', '~/w', '/home/ann/w'],
  ['', 'w', '/home/ann/w'],
])('C1 C2 C3 C4 C6 %j with the workdir %j is %s', (path, workdir, expected) => {
  expect(resolvePath(path, ann, workdir)).toBe(expected)
})

test('C1 C2 C3 C4 C6 the empty path is the workdir, everything relative is below the home', () => {
  expect(resolvePath('', ann, '/work')).toBe('/work')
  expect(resolvePath('x', ann, '/work')).toBe('/home/ann/x')
})

test("C2 another user's home is refused, and the error names the path that was given", () => {
  expect(() => resolvePath('~bob/x', ann, undefined)).toThrow(
    expect.objectContaining({
      kind: 'invalid_argument',
      message: "failed to expand path '~bob/x' for user 'ann': cannot expand user-specific home dir",
    }),
  )
})

test('A38 the named user counts, else the default one', async () => {
  await using people = await makePeople()
  expect(await selectUser(people.users, 'ann', 'root')).toMatchObject({ name: 'ann' })
  expect(await selectUser(people.users, undefined, 'root')).toMatchObject({ name: 'root' })
})

test('A39 A40 a user that does not exist, or none at all, is unauthenticated', async () => {
  const users = createUsers({ passwd: '/nope' })
  const refuse = (message: string) => expect.objectContaining({ kind: 'unauthenticated', message })
  await expect(selectUser(users, 'x', 'root')).rejects.toEqual(refuse("invalid username: 'x'"))
  await expect(selectUser(users, '', 'root')).rejects.toEqual(refuse("invalid username: ''"))
  await expect(selectUser(users, undefined, 'def')).rejects.toEqual(refuse("invalid default user: 'def'"))
  await expect(selectUser(users, undefined, '')).rejects.toEqual(refuse('no user specified'))
})
