import { AppError } from '../../errors.ts'

const MAX_INT = 2n ** 63n - 1n

/**
 * The parameters of those names in a request target, names and values decoded; `+` and `%20` are both spaces. Throws AppError
 * invalid_argument for one that is given twice or is not UTF-8 (contract A20).
 */
export function queryValues(url: string, names: ReadonlySet<string>): ReadonlyMap<string, string> {
  const start = url.indexOf('?')
  const values = new Map<string, string>()
  for (const pair of start < 0 ? [] : url.slice(start + 1).split('&')) {
    const equals = pair.indexOf('=')
    const name = nameOf(equals < 0 ? pair : pair.slice(0, equals))
    if (name === undefined || !names.has(name)) continue
    if (values.has(name)) throw invalid(name, `multiple values for single value parameter '${name}'`)
    values.set(name, decode(name, equals < 0 ? '' : pair.slice(equals + 1)))
  }
  return values
}

/**
 * A parameter as a 64-bit integer, undefined if it is absent. Throws AppError invalid_argument for anything else
 * (contract A20).
 */
export function integerOf(name: string, values: ReadonlyMap<string, string>): bigint | undefined {
  const text = values.get(name)
  if (text === undefined) return undefined
  const refuse = (problem: string) =>
    invalid(name, `error binding string parameter: strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`)
  if (!/^[+-]?\d+$/.test(text)) throw refuse('invalid syntax')
  const value = BigInt(text.replace(/^\+/, ''))
  if (value > MAX_INT || value < -MAX_INT - 1n) throw refuse('value out of range')
  return value
}

/** A name, decoded; undefined: it is malformed, and so none that is asked for. */
function nameOf(text: string): string | undefined {
  if (!/[%+]/.test(text)) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function decode(name: string, text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw invalid(name, 'not percent-encoded UTF-8')
  }
}

function invalid(name: string, problem: string): AppError {
  return new AppError('invalid_argument', `Invalid format for parameter ${name}: ${problem}`)
}
