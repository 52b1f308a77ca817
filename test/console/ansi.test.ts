import { expect, test } from 'vitest'
import { PLAIN, plainText, segmentsOf, styleAfter } from '../../src/console/output/ansi.ts'

test('colours and styles split a line, and reset ends them', () => {
  expect(segmentsOf('a\x1b[1;31mb\x1b[22mc\x1b[0md')).toEqual([
    { text: 'a', style: {} },
    { text: 'b', style: { bold: true, fg: 1 } },
    { text: 'c', style: { fg: 1 } },
    { text: 'd', style: {} },
  ])
})

test.each([
  ['92', { fg: 10 }],
  ['104', { bg: 12 }],
  ['38;5;9', { fg: 9 }],
  ['38;5;196', { fg: 'rgb(255 0 0)' }],
  ['48;5;232', { bg: 'rgb(8 8 8)' }],
  ['38;2;1;2;300;4', { fg: 'rgb(1 2 255)', underline: true }],
  ['', {}],
])('the parameters %s are understood', (parameters, style) => {
  expect(styleAfter(`\x1b[3m\x1b[23m\x1b[${parameters}m`, PLAIN)).toEqual(style)
})

test('what is no look and no text is left out', () => {
  const line = 'a\x1b[2K\x1b[1;5Hb\x1b]0;title\x07c\x1b]8;;http://x\x1b\\d\x1b(Be\x07\x00\tf\x1b'
  expect(plainText(line)).toBe('abcde\tf')
  expect(
    segmentsOf(line)
      .map(({ text }) => text)
      .join(''),
  ).toBe('abcde\tf')
})

test('a look goes on in the lines that follow', () => {
  const style = styleAfter('\x1b[32mgreen', PLAIN)
  expect(segmentsOf('still', style)).toEqual([{ text: 'still', style: { fg: 2 } }])
})
