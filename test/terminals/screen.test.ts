import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { Screen } from '../../src/terminals/screen.ts'
import { fastest, timeOf } from '../_util/fastest.ts'
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

/** What is rarer. */
const STATES = [
  ...['\u001bH', '\u001b[g', '\u001b[3g', '\t', '\t', 'lqqk', 'abc', '\u001b[3b', '\u001b[!p', '\u001bc'],
  ...['\u001b(0', '\u001b(B', '\u001b)0', '\u001b*A', '\u000e', '\u000f', '\u001bn', '\u001b(K'],
  ...['\u001b7', '\u001b8', '\u001b[?6h', '\u001b[?6l'],
]
const LOOKS = [
  ...['\u001b]8;;http://a/\u0007', '\u001b]8;id=x;http://b/\u0007', '\u001b]8;;\u0007', 'abc', '\u001b[3b'],
  ...['\u001b[4:3m', '\u001b[4m', '\u001b[58:5:9m', '\u001b[58:2::1:2:3m', '\u001b[24m'],
]

/**
 * Draws a random beginning on a screen, its snapshot on a copy, and then the same end on the copy and on what
 * saw everything.
 */
async function compare(random: Random, one: (random: Random) => string): Promise<void> {
  const make = (count: number) => Buffer.from(Array.from({ length: count }, () => one(random)).join(''))
  const before = make(300)
  const after = make(40)
  const cut = before.length - random.int(12)
  const screen = new Screen(SIZE)
  screen.write(before.subarray(0, cut))
  const copy = await copied(screen)
  const whole = emulator(SIZE.columns, SIZE.rows)
  await draw(whole, before.subarray(0, cut - screen.pending))
  expect(drawn(copy)).toEqual(drawn(whole))
  const rest = Buffer.concat([before.subarray(cut - screen.pending), after])
  await draw(copy, rest)
  await draw(whole, rest)
  expect(drawn(copy)).toEqual(drawn(whole))
}

/**
 * Of three thousand of each kind three differ, in what is drawn later: where something overwrites half of a wide
 * character that lost the other one, and where underlines or links go on after DECRC has restored a look without them.
 */
const SEEDS = Array.from({ length: Number(process.env['SEEDS'] ?? 60) }, (_, seed) => seed)

describe('a snapshot', () => {
  test.each([...SEEDS, 191, 263, 387, 457, 531, 2250])(
    'draws the same screen cell by cell, and goes on as the terminal does, wherever it was cut (seed %d)',
    (seed) => compare(seeded(seed + 1), sequence),
  )

  const sets = [303, 374, 977, 1187, 1348, 1359, 1375, 1428, 1915, 1940, 2679, 2996]
  test.each([...SEEDS, ...sets])('has tab stops, character sets and what was saved (seed %d)', (seed) =>
    compare(seeded(seed + 10_001), (random) => oneOf(random, STATES)),
  )

  const moved = [
    74, 166, 225, 369, 512, 797, 830, 1184, 1227, 1237, 1315, 1425, 1754, 2139, 2534, 2646, 2788, 2882, 2915,
  ]
  test.each([...SEEDS, ...moved])('has links, and styles and colors of underlines (seed %d)', (seed) =>
    compare(seeded(seed + 20_001), (random) => oneOf(random, LOOKS)),
  )
})

/** One of these, or as often of the usual ones. */
function oneOf(random: Random, rare: readonly string[]): string {
  return random.int(2) === 0 ? (rare[random.int(rare.length)] ?? '') : sequence(random)
}

test('a title, a directory and a hidden cursor are part of it', async () => {
  const screen = new Screen(SIZE)
  screen.write(Buffer.from('\u001b]0;a title\u0007\u001b]7;file://host/tmp/a%20b\u001b\\\u001b[?25l'))
  expect([screen.title, screen.cwd]).toEqual(['a title', '/tmp/a b'])
  const text = [...screen.snapshot()].join('')
  expect(text).toContain('\u001b[?25l')
  expect(text).toContain('\u001b]2;a title\u0007')
})

test('a thousand lines above the screen are kept, and no more', async () => {
  const screen = new Screen(SIZE)
  screen.write(Buffer.from(Array.from({ length: 3000 }, (_, line) => `line ${line}\r\n`).join('')))
  const { above, active } = drawn(await copied(screen))
  expect(above.length).toBe(1000)
  expect(above[0]).toBe('line 1989')
  expect(active.at(-2)).toBe('line 2999')
})

test('a line that wraps over hundreds of rows is one line when the width changes', async () => {
  const screen = new Screen(SIZE)
  const whole = emulator(SIZE.columns, SIZE.rows)
  const text = Buffer.from(`begin\r\n${'0123456789'.repeat(3000)}end\r\n$ `)
  screen.write(text)
  await draw(whole, text)
  const copy = await copied(screen)
  for (const terminal of [whole, copy]) terminal.resize(70, SIZE.rows)
  expect(drawn(copy)).toEqual(drawn(whole))
})

test.each(['L', 'M', 'S', 'T', 'I', 'Z', 'b'])('a count of 2,147,483,647 before %s takes no time', async (final) => {
  const screen = new Screen(SIZE)
  const took = await fastest(100, () => timeOf(() => screen.write(Buffer.from(`x\u001b[2147483647${final}`))))
  expect(took).toBeLessThan(100)
  // With as many as there are lines the same is drawn.
  const [many, all] = [new Screen(SIZE), new Screen(SIZE)]
  many.write(Buffer.from(`a\r\nb\u001b[999${final}c`))
  all.write(Buffer.from(`a\r\nb\u001b[${final === 'I' || final === 'Z' ? 40 : final === 'b' ? 999 : 12}${final}c`))
  expect(drawn(await copied(many))).toEqual(drawn(await copied(all)))
})

test('endless strings, links and combining characters take no memory', async () => {
  const screen = new Screen(SIZE)
  setFlagsFromString('--expose_gc')
  const collect: () => void = runInNewContext('gc')
  collect()
  const before = process.memoryUsage().heapUsed
  screen.write(Buffer.from('\u001b]0;'))
  for (let round = 0; round < 200; round++) screen.write(Buffer.alloc(64 * 1024, 'a'))
  expect(screen.pending).toBeGreaterThan(12_000_000)
  screen.write(Buffer.from(`\u0007x${'\u0301'.repeat(3_000_000)}`))
  for (let round = 0; round < 200; round++)
    screen.write(Buffer.from(`\u001b]8;;http://${'l'.repeat(60_000)}${round}\u0007link\u001b]8;;\u0007`))
  expect(screen.title.length).toBeLessThanOrEqual(1000)
  expect([...screen.snapshot()].join('').length).toBeLessThan(1_000_000)
  collect()
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(40_000_000)
})
