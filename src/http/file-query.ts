import { AppError } from '../errors.ts'

/** The query of `/files`. Absent parameters are undefined, which is not the same as empty ones (contract B14, B32). */
export interface FileQuery {
  readonly path: string | undefined
  readonly username: string | undefined
  readonly signature: string | undefined
  /** Unix seconds. */
  readonly signatureExpiration: bigint | undefined
}

const MAX_INT = 2n ** 63n - 1n

/**
 * Reads the query of a request target. `+` and `%20` are both spaces. Throws AppError invalid_argument for a parameter that
 * is given twice, is not UTF-8, or is no integer where one is needed (contract A20).
 */
export function readFileQuery(url: string): FileQuery {
  const start = url.indexOf('?')
  const values = new Map<string, string>()
  for (const pair of start < 0 ? [] : url.slice(start + 1).split('&')) {
    const equals = pair.indexOf('=')
    const name = equals < 0 ? pair : pair.slice(0, equals)
    if (!NAMES.has(name)) continue
    if (values.has(name)) throw invalid(name, `multiple values for single value parameter '${name}'`)
    values.set(name, decode(name, equals < 0 ? '' : pair.slice(equals + 1)))
  }
  return {
    path: values.get('path'),
    username: values.get('username'),
    signature: values.get('signature'),
    signatureExpiration: integer('signature_expiration', values.get('signature_expiration')),
  }
}

const NAMES = new Set(['path', 'username', 'signature', 'signature_expiration'])

function decode(name: string, text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw invalid(name, 'not percent-encoded UTF-8')
  }
}

function integer(name: string, text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined
  const refuse = (problem: string) =>
    invalid(name, `error binding string parameter: strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`)
  if (!/^[+-]?\d+$/.test(text)) throw refuse('invalid syntax')
  const value = BigInt(text.replace(/^\+/, ''))
  if (value > MAX_INT || value < -MAX_INT - 1n) throw refuse('value out of range')
  return value
}

function invalid(name: string, problem: string): AppError {
  return new AppError('invalid_argument', `Invalid format for parameter ${name}: ${problem}`)
}
