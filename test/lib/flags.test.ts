import { expect, test } from 'vitest'
import { parseFlags } from '../../src/lib/flags.ts'

const flags = {
  on: { type: 'bool', default: false, help: 'a switch' },
  count: { type: 'int', default: 7, help: 'a number' },
  name: { type: 'string', default: '', help: 'a text' },
} as const

const valid: [string[], { on?: boolean; count?: number; name?: string }][] = [
  [[], {}],
  [['-on'], { on: true }],
  [['--on'], { on: true }],
  [['-on=false'], { on: false }],
  [['--on=T', '-count', '3'], { on: true, count: 3 }],
  [['-count=-4'], { count: -4 }],
  [['-name', '-on'], { name: '-on' }],
  [['-name=a=b'], { name: 'a=b' }],
  [['-name='], { name: '' }],
  [['-count', '1', '-count', '2'], { count: 2 }],
  [['-on', 'word', '-count', '3'], { on: true }],
  [['-on', '--', '-count', '3'], { on: true }],
  [['-', '-on'], {}],
  [['', '-on'], {}],
]

test.each(valid)('A1 the flags %j are %j', (argv, expected) => {
  expect(parseFlags(argv, flags)).toMatchObject({ ok: true, values: { on: false, count: 7, name: '', ...expected } })
})

const invalid: [string[], string][] = [
  [['-nope'], 'flag provided but not defined: -nope'],
  [['--nope=1'], 'flag provided but not defined: -nope'],
  [['-toString'], 'flag provided but not defined: -toString'],
  [['---on'], 'bad flag syntax: ---on'],
  [['-=x'], 'bad flag syntax: -=x'],
  [['-on=maybe'], 'invalid value "maybe" for flag -on: expected bool'],
  [['-count', 'x'], 'invalid value "x" for flag -count: expected int'],
  [['-count='], 'invalid value "" for flag -count: expected int'],
  [['-count', '1.5'], 'invalid value "1.5" for flag -count: expected int'],
  [['-name'], 'flag needs an argument: -name'],
  [['-help'], ''],
]

test.each(invalid)('A3 the flags %j are refused: %s', (argv, problem) => {
  const parsed = parseFlags(argv, flags)
  expect(parsed).toMatchObject({ ok: false, problem })
  expect(parsed.usage).toContain('  -count int\n    \ta number (default 7)')
})
