import { expect, test } from 'vitest'
import {
  copyName,
  crumbsOf,
  isAddressable,
  isWithin,
  joinPath,
  nameOf,
  parentOf,
  problemWithName,
  shownName,
} from '../../../src/console/files/paths.ts'

test('paths are joined and taken apart at slashes only, also at the root', () => {
  expect(joinPath('/', 'a')).toBe('/a')
  expect(joinPath('/a', 'b c')).toBe('/a/b c')
  expect([parentOf('/a/b'), parentOf('/a'), parentOf('/')]).toEqual(['/a', '/', '/'])
  expect([nameOf('/a/b'), nameOf('/')]).toEqual(['b', '/'])
  expect(crumbsOf('/a/b')).toEqual(['/', '/a', '/a/b'])
})

test('a directory is around what is below it, and not around a name that begins like it', () => {
  expect(isWithin('/a/b', '/a')).toBe(true)
  expect(isWithin('/a', '/a')).toBe(true)
  expect(isWithin('/ab', '/a')).toBe(false)
  expect(isWithin('/ab', '/')).toBe(true)
})

test('what changes the direction of text, breaks lines or is not seen is shown by its symbol or number', () => {
  expect(shownName('a\nb\tc\u007f')).toBe('a\u2424b\u2409c\u2421')
  expect(shownName('evil\u202egpj.exe')).toBe('evil⟨U+202E⟩gpj.exe')
  expect(shownName('a\u200bb\u00a0c\u2028d')).toBe('a⟨U+200B⟩b⟨U+00A0⟩c⟨U+2028⟩d')
  expect(shownName('plain שלום 日本 😀.txt')).toBe('plain שלום 日本 😀.txt')
  expect(shownName('\u{E0041}')).toBe('⟨U+E0041⟩')
})

test('names that are not UTF-8 cannot be asked for', () => {
  expect(isAddressable('/a/\uFFFD')).toBe(false)
  expect(isAddressable('/a/ä')).toBe(true)
})

test.each([
  ['', /needed/],
  ['..', /cannot be called/],
  ['a/b', /slash/],
  ['a\0', /zero byte/],
  ['ä'.repeat(128), /at most 255 bytes; this one has 256/],
])('the name %j is refused with a reason', (name, reason) => {
  expect(problemWithName(name)).toMatch(reason)
})

test('every other name of up to 255 bytes is allowed', () => {
  expect(problemWithName('ä'.repeat(127))).toBeUndefined()
  expect(problemWithName(' \n.…')).toBeUndefined()
})

test('a copy keeps its extension, and its name is no longer than a name may be', () => {
  expect(copyName('a.tar.gz', 1)).toBe('a.tar (my copy).gz')
  expect(copyName('.profile', 2)).toBe('.profile (my copy 2)')
  const long = copyName(`${'😀'.repeat(62)}abc.txt`, 1)
  expect(problemWithName(long)).toBeUndefined()
  expect(long).toMatch(/😀 \(my copy\)\.txt$/)
})
