import { expect, test } from 'vitest'
import { inlineDisposition, parsePartDisposition } from '../../../src/http/transfer/content-disposition.ts'

test.each([
  ['a.txt', 'inline; filename=a.txt'],
  ['a b.txt', 'inline; filename="a b.txt"'],
  ['a"b\\c', 'inline; filename="a\\"b\\\\c"'],
  ['a(1).txt', 'inline; filename="a(1).txt"'],
  ['日本.txt', "inline; filename*=utf-8''%E6%97%A5%E6%9C%AC.txt"],
  ["é'%*", "inline; filename*=utf-8''%C3%A9%27%25%2A"],
  ['a\nb', "inline; filename*=utf-8''a%0Ab"],
  ['/', 'inline; filename="/"'],
])('B17 the name %j travels as %s', (name, expected) => {
  expect(inlineDisposition(name)).toBe(expected)
})

const bytes = (text: string) => Buffer.from(text).toString('latin1')

test.each([
  ['form-data; name="file"; filename="/a/b/c.txt"', 'file', '/a/b/c.txt'],
  ['form-data; name=file; filename=c.txt', 'file', 'c.txt'],
  ['form-data;name="file";filename="../x"', 'file', '../x'],
  ['form-data; name="file"', 'file', undefined],
  ['form-data; name="file"; filename=""', 'file', ''],
  ['form-data; name="file"; filename="日本 😀.txt"', 'file', '日本 😀.txt'],
  ['form-data; name="file"; filename="a%22b%0D%0Ac%20d"', 'file', 'a"b\r\nc%20d'],
  ['form-data; name="file"; filename="a\\"b"', 'file', 'a"b'],
  ['form-data; name="file"; filename="C:\\dev\\go"', 'file', 'C:\\dev\\go'],
  ['form-data; name="file"; filename="a\\\\b"', 'file', 'a\\b'],
  ['form-data; name="file"; filename="a;b=c"', 'file', 'a;b=c'],
  ['form-data; name="file"; filename="x"; filename*=UTF-8\'\'%e6%97%a5%2Fb', 'file', '日/b'],
  ["form-data; filename*=utf-8''%zz; filename=ok", undefined, 'ok'],
  ['form-data; FILENAME="A"; NAME=file', 'file', 'A'],
  ['', undefined, undefined],
])('B35 the part %s', (header, name, filename) => {
  expect(parsePartDisposition(bytes(header))).toEqual({ name, filename })
})

test('B35 a name that is not UTF-8 is none, instead of another one', () => {
  expect(parsePartDisposition('form-data; name="file"; filename="a\xff"')).toEqual({
    name: 'file',
    filename: undefined,
  })
  expect(parsePartDisposition('form-data; name="\xfe"; filename=a').name).toBeUndefined()
})

test('B17 B35 names go out and come in with all their characters', () => {
  expect(inlineDisposition('😀')).toBe("inline; filename*=utf-8''%F0%9F%98%80")
  expect(parsePartDisposition(bytes('form-data; filename="😀"')).filename).toBe('😀')
})
