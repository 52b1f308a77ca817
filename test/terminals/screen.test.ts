import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { Screen } from '../../src/terminals/screen.ts'
import { type Random, seeded } from '../hostile/random.ts'
import { draw, drawn, emulator } from './drawn.ts'

const SIZE = { columns: 40, rows: 12 }

/** Feeds a screen in pieces of the emulator's own choice, and draws its snapshot elsewhere. */
async function copied(screen: Screen) {
  const copy = emulator(SIZE.columns, SIZE.rows)
  for (const part of screen.snapshot()) await draw(copy, part)
  return copy
}

const WORDS = [
  'hello ',
  '\r\n',
  'wörld',
  '日本',
  '🙂',
  'e\u0301',
  '\t',
  '\b',
  '\r',
  '\n',
  'x'.repeat(50),
  '\u001bM',
  '\u001bD',
]
const CSI = 'ABCDHJKLMPSTX@dGm'.split('')
const FIXED = [
  '?1049h',
  '?1049l',
  '?25l',
  '?25h',
  '4h',
  '4l',
  '?7l',
  '?7h',
  '?2004h',
  '?1000h',
  '?1006h',
  '?1l',
  '?1h',
  '0m',
  'r',
]

function sequence(random: Random): string {
  const one = <T>(list: readonly T[]) => list[random.int(list.length)] as T
  const kind = random.int(10)
  if (kind < 4) return one(WORDS)
  if (kind === 4) return `\u001b[${one(FIXED)}`
  if (kind === 5) return `\u001b[${random.int(8) + 30};4${random.int(8)};${random.int(9)}m`
  if (kind === 6) return `\u001b[38;2;${random.int(256)};1;2m\u001b[48;5;${random.int(256)}m`
  if (kind === 7) return `\u001b]${random.int(3)};title ${random.int(9)}\u0007`
  if (kind === 8) return `\u001b[${random.int(6) + 1};${random.int(6) + 7}r`
  return `\u001b[${random.int(13)};${random.int(40)}${one(CSI)}`
}

describe('a snapshot', () => {
  test.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'draws the same screen cell by cell, and goes on as the terminal does, wherever it was cut (seed %d)',
    async (seed) => {
      const random = seeded(seed + 1)
      const make = (count: number) => Buffer.from(Array.from({ length: count }, () => sequence(random)).join(''))
      const before = make(300)
      const after = make(40)
      const cut = before.length - random.int(12)
      const screen = new Screen(SIZE)
      await screen.write(before.subarray(0, cut))
      const copy = await copied(screen)
      const whole = emulator(SIZE.columns, SIZE.rows)
      await draw(whole, before.subarray(0, cut - screen.pending))
      expect(drawn(copy)).toEqual(drawn(whole))
      const rest = Buffer.concat([before.subarray(cut - screen.pending), after])
      await draw(copy, rest)
      await draw(whole, rest)
      expect(drawn(copy)).toEqual(drawn(whole))
    },
  )
})

test('a title, a directory and a hidden cursor are part of it', async () => {
  const screen = new Screen(SIZE)
  await screen.write(Buffer.from('\u001b]0;a title\u0007\u001b]7;file://host/tmp/a%20b\u001b\\\u001b[?25l'))
  expect([screen.title, screen.cwd]).toEqual(['a title', '/tmp/a b'])
  const text = [...screen.snapshot()].join('')
  expect(text).toContain('\u001b[?25l')
  expect(text).toContain('\u001b]2;a title\u0007')
})

test('a thousand lines above the screen are kept, and no more', async () => {
  const screen = new Screen(SIZE)
  await screen.write(Buffer.from(Array.from({ length: 3000 }, (_, line) => `line ${line}\r\n`).join('')))
  const { above, active } = drawn(await copied(screen))
  expect(above.length).toBe(1000)
  expect(above[0]).toBe('line 1989')
  expect(active.at(-2)).toBe('line 2999')
})

test('endless strings, links and combining characters take no memory', async () => {
  const screen = new Screen(SIZE)
  setFlagsFromString('--expose_gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  const before = process.memoryUsage().heapUsed
  await screen.write(Buffer.from('\u001b]0;'))
  for (let round = 0; round < 200; round++) await screen.write(Buffer.alloc(64 * 1024, 'a'))
  expect(screen.pending).toBeGreaterThan(12_000_000)
  await screen.write(Buffer.from(`\u0007x${'\u0301'.repeat(3_000_000)}`))
  for (let round = 0; round < 200; round++)
    await screen.write(Buffer.from(`\u001b]8;;http://${'l'.repeat(60_000)}${round}\u0007link\u001b]8;;\u0007`))
  expect(screen.title.length).toBeLessThanOrEqual(1000)
  expect([...screen.snapshot()].join('').length).toBeLessThan(1_000_000)
  collect()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
})
