import { expect, test } from 'vitest'
import { parseFlags } from '../../src/lib/flags.ts'

const flags = {
  on: { type: 'bool', default: false, help: 'a switch' },
  count: { type: 'int', default: 7, help: 'a number' },
  name: { type: 'string', default: '', help: 'a text' },
  kind: { type: 'string', default: 'a', choices: ['a', 'b'], help: 'a choice' },
  more: { type: 'list', default: [], help: 'texts' },
  set: { type: 'map', default: {}, help: 'texts by name' },
} as const

const valid: [
  string[],
  { on?: boolean; count?: number; name?: string; kind?: string; more?: readonly string[]; set?: object },
][] = [
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
  [['-kind', 'b'], { kind: 'b' }],
  [['-set', 'A=1', '-set=B=x=y', '-set', 'C='], { set: { A: '1', B: 'x=y', C: '' } }],
  [['-set', '=1'], { set: { '': '1' } }],
  [['-set', '__proto__=1', '-set', 'A=1', '-set', 'A=2'], { set: { ['__proto__']: '1', A: '2' } }],
  [['-more', 'a', '-more=', '-more', 'a'], { more: ['a', '', 'a'] }],
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
  [['-kind', 'c'], 'invalid value "c" for flag -kind: expected a, b'],
  [['-set', 'A'], 'invalid value "A" for flag -set: expected NAME=value'],
  [['-name'], 'flag needs an argument: -name'],
  [['-help'], ''],
]

test.each(invalid)('A3 the flags %j are refused: %s', (argv, problem) => {
  const parsed = parseFlags(argv, flags)
  expect(parsed).toMatchObject({ ok: false, problem })
  expect(parsed.usage).toContain('  -count int\n    \ta number (default 7)')
})

test('what is preset counts where the command line is silent, name by name in a map, and a list has both', () => {
  const preset = { count: 3, name: 'preset', more: ['a'], set: { A: '1', B: '1' } }
  expect(parseFlags(['-more', 'b', '-name', 'given', '-set', 'B=2'], flags, preset)).toMatchObject({
    values: { count: 3, more: ['a', 'b'], name: 'given', set: { A: '1', B: '2' } },
  })
})
