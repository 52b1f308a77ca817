import { readFileSync } from 'node:fs'
import type { FlagSpec, FlagValue } from './flags.ts'

/** The values of a file of flags, or everything that is wrong with it, each problem with the name of its key. */
export type FlagFile =
  | {
      readonly ok: true
      readonly values: Readonly<Record<string, FlagValue>>
      /** Those of `others` that are there. */
      readonly others: Readonly<Record<string, unknown>>
    }
  | { readonly ok: false; readonly problem: string }

/** Editors find the schema by it; it sets nothing. */
const SCHEMA_KEY = '$schema'

/**
 * Reads a JSON file: an object whose keys are names of flags and whose values have their types, which are a boolean, an
 * integer, a string, an array of strings for a list, or for a map an object of strings. An unknown key is a problem
 * too: it is most likely misspelt. Synchronous, for start-up only.
 * @param others keys that are no flags and are handed on as they are.
 */
export function readFlagFile(
  path: string,
  flags: Readonly<Record<string, FlagSpec>>,
  others: readonly string[] = [],
): FlagFile {
  const fail = (problem: string): FlagFile => ({ ok: false, problem: `config file ${path}: ${problem}` })
  let given: unknown
  try {
    given = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    return fail(error instanceof SyntaxError ? `not JSON: ${text}` : text)
  }
  if (!isObject(given)) return fail(`must be an object, got ${kindOf(given)}`)
  const isOther = ([key]: [string, unknown]) => others.includes(key)
  const entries = Object.entries(given).filter(([key]) => key !== SCHEMA_KEY)
  const values = Object.fromEntries(entries.filter((entry) => !isOther(entry)))
  const problems = Object.entries(values).flatMap(([key, value]) => {
    const spec = Object.hasOwn(flags, key) ? flags[key] : undefined
    return spec === undefined ? [`unknown key "${key}"`] : problemsOf(key, value, spec)
  })
  // Without a problem each has the type of its flag.
  if (problems.length > 0) return fail(problems.join('; '))
  return { ok: true, values: values as Record<string, FlagValue>, others: Object.fromEntries(entries.filter(isOther)) }
}

/** The JSON Schema (draft 2020-12) of what `readFlagFile` takes; `others` are the schemas of its other keys. */
export function flagFileSchema(
  flags: Readonly<Record<string, FlagSpec>>,
  title: string,
  others: Readonly<Record<string, object>> = {},
): object {
  const properties = Object.entries(flags).map(([name, spec]) => [name, propertyOf(spec)])
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    type: 'object',
    properties: { [SCHEMA_KEY]: { type: 'string' }, ...Object.fromEntries(properties), ...others },
    additionalProperties: false,
  }
}

function propertyOf(spec: FlagSpec): object {
  const common = { description: spec.help, default: spec.default }
  switch (spec.type) {
    case 'bool':
      return { type: 'boolean', ...common }
    case 'int':
      return { type: 'integer', ...common }
    case 'string':
      return { type: 'string', ...common, ...(spec.choices === undefined ? {} : { enum: spec.choices }) }
    case 'list':
      return { type: 'array', items: { type: 'string' }, ...common }
    case 'map':
      return { type: 'object', additionalProperties: { type: 'string' }, propertyNames: { minLength: 1 }, ...common }
  }
}

function problemsOf(key: string, value: unknown, spec: FlagSpec): string[] {
  const unless = (right: boolean, what: string) => (right ? [] : [`key "${key}" must be ${what}, got ${kindOf(value)}`])
  switch (spec.type) {
    case 'bool':
      return unless(typeof value === 'boolean', 'true or false')
    case 'int':
      return unless(Number.isSafeInteger(value), 'an integer')
    case 'string':
      if (spec.choices === undefined || typeof value !== 'string') return unless(typeof value === 'string', 'a string')
      return spec.choices.includes(value)
        ? []
        : [`key "${key}" must be one of ${spec.choices.join(', ')}, got "${value}"`]
    case 'list':
      return unless(Array.isArray(value) && value.every((text) => typeof text === 'string'), 'a list of strings')
    case 'map':
      if (!isObject(value)) return unless(false, 'an object of strings')
      return Object.entries(value).flatMap(([name, text]) =>
        typeof text === 'string' ? [] : [`key "${key}.${name}" must be a string, got ${kindOf(text)}`],
      )
  }
}

/** A JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What it is, not what it says: a value may be a secret. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'boolean') return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
