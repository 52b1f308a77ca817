/** One flag: its type, what it is when not given, and a line for the usage text. */
export type FlagSpec =
  | { readonly type: 'bool'; readonly default: boolean; readonly help: string }
  | { readonly type: 'int'; readonly default: number; readonly help: string }
  /** With `choices`, one of these and nothing else. */
  | { readonly type: 'string'; readonly default: string; readonly help: string; readonly choices?: readonly string[] }
  /** `NAME=value`, as often as wanted; of a name the last one counts. */
  | { readonly type: 'map'; readonly default: Readonly<Record<string, string>>; readonly help: string }
  /** A text, as often as wanted. */
  | { readonly type: 'list'; readonly default: readonly string[]; readonly help: string }

/** A flag's value: a boolean, an integer, a text, texts, or texts by name. */
export type FlagValue = boolean | number | string | readonly string[] | Readonly<Record<string, string>>

type ValueOf<S extends FlagSpec> = S extends { readonly type: 'bool' }
  ? boolean
  : S extends { readonly type: 'int' }
    ? number
    : S extends { readonly type: 'map' }
      ? Readonly<Record<string, string>>
      : S extends { readonly type: 'list' }
        ? readonly string[]
        : S extends { readonly choices: readonly (infer C)[] }
          ? C
          : string

/** The value of each flag of a table. */
export type FlagValues<F extends Record<string, FlagSpec>> = { [K in keyof F]: ValueOf<F[K]> }

/** The values of all flags, or what is wrong with the command line. */
type ParsedFlags<F extends Record<string, FlagSpec>> =
  | { readonly ok: true; readonly values: FlagValues<F>; readonly usage: string }
  | { readonly ok: false; readonly problem: string; readonly usage: string }

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/**
 * Parses flags as Go's flag package does: one dash or two, `-name=value` or `-name value`, a bool takes its value only
 * after `=`, and the first word that is no flag ends the flags (contract A1).
 * @param preset values that were set elsewhere, of the flags' own types: the command line wins, a map's names one by
 * one, and adds to a list.
 */
export function parseFlags<F extends Record<string, FlagSpec>>(
  argv: readonly string[],
  flags: F,
  preset: Readonly<Record<string, FlagValue>> = {},
): ParsedFlags<F> {
  const values: Record<string, FlagValue> = {}
  for (const [name, spec] of Object.entries(flags)) values[name] = preset[name] ?? spec.default
  const fail = (problem: string): ParsedFlags<F> => ({ ok: false, problem, usage: usageOf(flags) })
  for (let i = 0; i < argv.length; i++) {
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argv[i] ?? '')
    if (match === null) {
      if (argv[i] === '--' || argv[i] === '-' || !argv[i]?.startsWith('-')) break
      return fail(`bad flag syntax: ${argv[i]}`)
    }
    const name = match[1] ?? ''
    const spec = Object.hasOwn(flags, name) ? flags[name] : undefined
    if (name === 'h' || name === 'help') return fail('')
    if (spec === undefined) return fail(`flag provided but not defined: -${name}`)
    let text = match[2]
    if (text === undefined && spec.type !== 'bool') {
      i++
      if (i >= argv.length) return fail(`flag needs an argument: -${name}`)
      text = argv[i]
    }
    const value = flagValue(spec, text)
    if (value === undefined) return fail(`invalid value "${text}" for flag -${name}: expected ${expectation(spec)}`)
    values[name] = merged(values[name], value)
  }
  // Every name of F has got a value of its own type above.
  return { ok: true, values: values as FlagValues<F>, usage: usageOf(flags) }
}

function merged(before: FlagValue | undefined, value: FlagValue): FlagValue {
  if (isList(value)) return isList(before) ? [...before, ...value] : value
  return typeof before === 'object' && typeof value === 'object' ? { ...before, ...value } : value
}

// Array.isArray does not narrow to readonly arrays.
function isList(value: FlagValue | undefined): value is readonly string[] {
  return Array.isArray(value)
}

function flagValue(spec: FlagSpec, text: string | undefined): FlagValue | undefined {
  switch (spec.type) {
    case 'string':
      return text !== undefined && spec.choices?.includes(text) === false ? undefined : text
    case 'map':
      return namedValue(text ?? '')
    case 'list':
      return text === undefined ? undefined : [text]
    case 'int':
      return text !== undefined && /^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined
    case 'bool':
      if (text === undefined || TRUE.has(text)) return true
      return FALSE.has(text) ? false : undefined
  }
}

function namedValue(text: string): Record<string, string> | undefined {
  const at = text.indexOf('=')
  // A computed key, unlike an assignment, also makes a property of the name __proto__.
  return at < 0 ? undefined : { [text.slice(0, at)]: text.slice(at + 1) }
}

function expectation(spec: FlagSpec): string {
  if (spec.type === 'map') return 'NAME=value'
  return spec.type === 'string' && spec.choices !== undefined ? spec.choices.join(', ') : spec.type
}

function valueName(type: FlagSpec['type']): string {
  if (type === 'list') return 'string'
  return type === 'map' ? 'NAME=value' : type
}

function usageOf(flags: Record<string, FlagSpec>): string {
  const line = ([name, spec]: [string, FlagSpec]) => {
    const plain = spec.default === '' || spec.default === false || spec.type === 'map' || spec.type === 'list'
    const standard = plain ? '' : ` (default ${spec.default})`
    const kind = spec.type === 'bool' ? '' : ` ${valueName(spec.type)}`
    return `  -${name}${kind}\n    \t${spec.help}${standard}`
  }
  return ['Usage of envd:', ...Object.entries(flags).map(line)].join('\n')
}
