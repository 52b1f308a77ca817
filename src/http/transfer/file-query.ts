import { AppError } from '../../errors.ts'
import { integerOf, queryValues } from '../app/query.ts'

/** The query of `/files`. Absent parameters are undefined, which is not the same as empty ones (contract B14, B32). */
export interface FileQuery {
  readonly path: string | undefined
  readonly username: string | undefined
  readonly signature: string | undefined
  /** Unix seconds. */
  readonly signatureExpiration: bigint | undefined
  /** How an upload is written. */
  readonly mode: string | undefined
  /** Permissions of an uploaded file, octal. */
  readonly chmod: string | undefined
  /** Format of the archive that a directory is downloaded as. */
  readonly format: string | undefined
  /** Patterns of what is left out of it, with commas in between. */
  readonly exclude: string | undefined
  /** `1`: without what the .gitignore files in it name. */
  readonly gitignore: string | undefined
  /** Before the names in it. */
  readonly prefix: string | undefined
  /** Whose what is unpacked from an uploaded archive is. */
  readonly owner: string | undefined
  /** How many components the names in an archive lose. */
  readonly strip: string | undefined
  /** `s`: times in it have whole seconds. */
  readonly times: string | undefined
}

/** Reads `strip=`. Throws AppError invalid_argument. */
export function stripOf(strip = '0'): number {
  if (!/^\d{1,3}$/.test(strip)) throw new AppError('invalid_argument', 'strip must be a number from 0 to 999')
  return Number(strip)
}

/**
 * Reads the query of a request target. `+` and `%20` are both spaces. Throws AppError invalid_argument for a parameter
 * that is given twice, is not UTF-8, or is no integer where one is needed (contract A20).
 */
export function readFileQuery(url: string): FileQuery {
  const values = queryValues(url, NAMES)
  return {
    path: values.get('path'),
    username: values.get('username'),
    signature: values.get('signature'),
    signatureExpiration: integerOf('signature_expiration', values),
    mode: values.get('mode'),
    chmod: values.get('chmod'),
    format: values.get('format'),
    exclude: values.get('exclude'),
    gitignore: values.get('gitignore'),
    prefix: values.get('prefix'),
    owner: values.get('owner'),
    strip: values.get('strip'),
    times: values.get('times'),
  }
}

const NAMES = new Set([
  'path',
  'username',
  'signature',
  'signature_expiration',
  'mode',
  'chmod',
  'format',
  'exclude',
  'gitignore',
  'prefix',
  'owner',
  'strip',
  'times',
])
