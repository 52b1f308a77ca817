/** One flag: its type, what it is when not given, and a line for the usage text. */
export type FlagSpec =
  | { readonly type: 'bool'; readonly default: boolean; readonly help: string }
  | { readonly type: 'int'; readonly default: number; readonly help: string }
  | { readonly type: 'string'; readonly default: string; readonly help: string }

type Values<F extends Record<string, FlagSpec>> = {
  [K in keyof F]: F[K]['type'] extends 'bool' ? boolean : F[K]['type'] extends 'int' ? number : string
}

/** The values of all flags, or what is wrong with the command line. */
export type ParsedFlags<F extends Record<string, FlagSpec>> =
  | { readonly ok: true; readonly values: Values<F>; readonly usage: string }
  | { readonly ok: false; readonly problem: string; readonly usage: string }

const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True'])
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False'])

/**
 * Parses flags as Go's flag package does: one dash or two, `-name=value` or `-name value`, a bool takes its value only
 * after `=`, and the first word that is no flag ends the flags (contract A1).
 */
export function parseFlags<F extends Record<string, FlagSpec>>(argv: readonly string[], flags: F): ParsedFlags<F> {
  const values: Record<string, boolean | number | string> = {}
  for (const [name, spec] of Object.entries(flags)) values[name] = spec.default
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
    if (value === undefined) return fail(`invalid value "${text}" for flag -${name}: expected ${spec.type}`)
    values[name] = value
  }
  // Every name of F has got a value of its own type above.
  return { ok: true, values: values as Values<F>, usage: usageOf(flags) }
}

function flagValue(spec: FlagSpec, text: string | undefined): boolean | number | string | undefined {
  if (spec.type === 'string') return text
  if (spec.type === 'int') return text !== undefined && /^[+-]?\d{1,15}$/.test(text) ? Number(text) : undefined
  if (text === undefined || TRUE.has(text)) return true
  return FALSE.has(text) ? false : undefined
}

function usageOf(flags: Record<string, FlagSpec>): string {
  const line = ([name, spec]: [string, FlagSpec]) => {
    const standard = spec.default === '' || spec.default === false ? '' : ` (default ${spec.default})`
    return `  -${name}${spec.type === 'bool' ? '' : ` ${spec.type}`}\n    \t${spec.help}${standard}`
  }
  return ['Usage of envd:', ...Object.entries(flags).map(line)].join('\n')
}
