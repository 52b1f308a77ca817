import { expect, test } from 'vitest'
import { containing, findLine, isFailure } from '../../src/console/output/find-line.ts'
import { Lines } from '../../src/console/output/lines.ts'
import { Output } from '../../src/console/output/output.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const textsOf = (lines: Lines) =>
  Array.from({ length: lines.end - lines.start }, (_, i) => {
    const line = lines.at(lines.start + i)
    return `${line?.kind}: ${line?.text}`
  })

test('lines of the streams stay apart, however their pieces arrive', () => {
  const lines = new Lines()
  lines.add('stdout', 'one\ntw')
  lines.add('stderr', 'bad')
  lines.add('stdout', 'o\n\nthree')
  lines.add('stderr', ' news\n')
  expect(textsOf(lines)).toEqual(['stdout: one', 'stdout: two', 'stderr: bad news', 'stdout: ', 'stdout: three'])
})

test('a carriage return begins the line again, and before a line feed is none of it', () => {
  const lines = new Lines()
  lines.add('pty', '10 %\r20 %\r30 %\r\ndone\r\n')
  lines.add('pty', 'a\rb')
  lines.add('pty', '\rc\n')
  expect(textsOf(lines)).toEqual(['pty: 30 %', 'pty: done', 'pty: c'])
})

test('lines, characters and the length of a line are bounded', () => {
  const lines = new Lines()
  lines.add('stdout', 'x'.repeat(10 * 1024 * 1024))
  expect(lines.end - lines.start).toBeLessThan(1_100)
  expect(lines.at(lines.end - 2)?.text.length).toBe(2_000)
  for (let i = 0; i < 100; i++) lines.add('stdout', '\n'.repeat(1_000))
  expect(lines.end - lines.start).toBe(20_000)
  lines.add('stdout', 'last\n')
  expect(lines.at(lines.end - 1)?.text).toBe('last')
})

test('a line that is open while those before it are dropped is continued', () => {
  const lines = new Lines()
  lines.add('stderr', 'begin')
  lines.add('stdout', 'x\n'.repeat(30_000))
  lines.add('stderr', 'again\n')
  expect(lines.at(lines.end - 1)).toMatchObject({ kind: 'stderr', text: 'again' })
})

test('bytes that come twice are taken once, those that are lost are said, and characters may be split', () => {
  const output = new Output()
  const euro = bytes('€')
  output.begin({ stdout: 4n, stderr: 0n, pty: 0n })
  output.add('stdout', 4n, bytes('one\n'))
  output.add('stdout', 8n, euro.subarray(0, 1))
  output.begin({ stdout: 6n, stderr: 0n, pty: 0n })
  output.add('stdout', 6n, new Uint8Array([...bytes('e\n'), ...euro]))
  expect(output.positions).toEqual({ stdout: 11n, stderr: 0n, pty: 0n })
  output.add('stdout', 20n, bytes('late\n'))
  expect(textsOf(output.lines)).toEqual([
    'note: 4 bytes of stdout are not kept any more',
    'stdout: one',
    'stdout: €late',
    'note: 9 bytes of stdout are not kept any more',
  ])
})

test('a search goes from line to line, both ways, and around the end', () => {
  const lines = new Lines()
  lines.add('stdout', 'Hit\nno\nhit\nno\n')
  lines.note('a hit of the page')
  const test = containing('HIT')
  expect(findLine(lines, test, { from: lines.start - 1 })).toBe(0)
  expect(findLine(lines, test, { from: 0 })).toBe(2)
  expect(findLine(lines, test, { from: 2 })).toBe(0)
  expect(findLine(lines, test, { from: 0, backwards: true })).toBe(2)
  expect(findLine(lines, test, { from: lines.end, backwards: true })).toBe(2)
  expect(findLine(lines, containing('nothing'), { from: 0 })).toBeUndefined()
})

test.each([
  ['src/a.ts(3,4): error TS2322: Type', true],
  ['Traceback (most recent call last):', true],
  ['ValueError: bad', true],
  ['bash: foo: command not found', true],
  ['connect ECONNREFUSED 127.0.0.1:1', true],
  ['FAIL test/a.test.ts', true],
  ['Finished: 0 errors', false],
  ['12 passed, 0 failed', false],
  ['the terror of mirrors', false],
  ['Every test passes', false],
])('%s is the line of a failure: %s', (line, failure) => {
  expect(isFailure(line)).toBe(failure)
})
