import { expect, test } from 'vitest'
import { pieceLength } from '../../src/terminals/piece.ts'

/** The pieces that output is drawn in. */
function pieces(text: string, most = 1024): string[] {
  const bytes = Buffer.from(text)
  const cut: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = pieceLength(bytes, at, most)
    expect(length).toBeGreaterThan(0)
    cut.push(bytes.toString('utf8', at, at + length))
    at += length
  }
  return cut
}

test('text with colors, and moves of the cursor, is drawn in large pieces', () => {
  const text = '\u001b[01;34mbin\u001b[0m  \u001b[32ma.sh\u001b[0m\u001b[K\r\n'.repeat(10)
  expect(pieces(text)).toEqual([text])
})

test.each([
  ['RIS', '\u001bc'],
  ['ED', '\u001b[2J'],
  ['IL', '\u001b[2147483647L'],
  ['SU', '\u001b[9S'],
  ['REP', 'x\u001b[2147483647b'],
  ['the alternate screen', '\u001b[?1049h'],
  ['DECALN', '\u001b#8'],
  ['CSI as C1', '\u009b9S'],
  ['OSC', '\u001b]4;1;?\u0007'],
])('%s that is repeated is drawn one by one', (_name, sequence) => {
  expect(pieces(sequence.repeat(50))).toHaveLength(50)
})

test('sequences that never end are drawn in pieces of their own', () => {
  expect(pieces('\u001b['.repeat(50)).length).toBeGreaterThan(40)
  expect(pieces(`\u001b[${'1;'.repeat(2000)}`)).toHaveLength(4)
})
