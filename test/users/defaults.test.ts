import { expect, test } from 'vitest'
import { createDefaults, EnvVars } from '../../src/users/defaults.ts'

test('A14 E2B_SANDBOX is always there and cannot be changed or removed from outside', () => {
  const { env } = createDefaults({ user: 'root', workdir: undefined, notFirecracker: false })
  expect([...env.all()]).toEqual([['E2B_SANDBOX', 'true']])
  env.replaceUser([['E2B_SANDBOX', 'forged']])
  expect([...env.all()]).toEqual([['E2B_SANDBOX', 'true']])
  const outside = createDefaults({ user: 'root', workdir: undefined, notFirecracker: true })
  expect(outside.env.all().get('E2B_SANDBOX')).toBe('false')
})

test('A15 an internal variable takes the place of a user variable of its name', () => {
  const env = new EnvVars()
  env.replaceUser([
    ['B', 'user'],
    ['A', 'user'],
  ])
  env.setInternal('B', 'internal')
  env.setInternal('B', 'again')
  expect([...env.all()]).toEqual([
    ['A', 'user'],
    ['B', 'again'],
  ])
  env.replaceUser([])
  expect([...env.all()]).toEqual([['B', 'again']])
})

test('the variables are sorted and written once, until one of them changes', () => {
  const env = new EnvVars()
  env.replaceUser([
    ['B', '2'],
    ['A', '1'],
  ])
  const [all, lines] = [env.all(), env.lines()]
  expect([...lines]).toEqual([
    ['A', 'A=1'],
    ['B', 'B=2'],
  ])
  expect(env.all()).toBe(all)
  expect(env.lines()).toBe(lines)
  env.setInternal('C', '3')
  expect([...env.lines().keys()]).toEqual(['A', 'B', 'C'])
  env.setInternal('D', 'no\0variable')
  expect([...env.lines().keys()]).toEqual(['A', 'B', 'C'])
  expect(env.all().has('D')).toBe(true)
})

test('A16 the defaults are the user that is given and no directory', () => {
  expect(createDefaults({ user: 'root', workdir: undefined, notFirecracker: true })).toMatchObject({
    user: 'root',
    workdir: undefined,
  })
})
