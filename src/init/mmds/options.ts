import { AppError } from '../../errors.ts'

/**
 * What the host says about this sandbox, in the metadata service's own names (contract G10). A member that it left out
 * is empty.
 */
export interface MmdsOptions {
  readonly instanceID: string
  readonly envID: string
  /** URL that takes log lines; empty: there is none. */
  readonly address: string
  /** SHA-512 of the access token, in hexadecimal digits; empty: the host says nothing about tokens. */
  readonly accessTokenHash: string
}

/** Reads the service's answer. Throws AppError `unavailable` for anything but an object of strings. */
export function parseMmdsOptions(text: string): MmdsOptions {
  const members = objectOf(text)
  const textOf = (name: keyof MmdsOptions) => {
    const value = members[name] ?? ''
    // Ids become variables, and no command could be started with a NUL among them.
    if (typeof value !== 'string' || value.includes('\0')) throw malformed()
    return value
  }
  return {
    instanceID: textOf('instanceID'),
    envID: textOf('envID'),
    address: textOf('address'),
    accessTokenHash: textOf('accessTokenHash'),
  }
}

function objectOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return Object.fromEntries(Object.entries(value))
  } catch {}
  throw malformed()
}

function malformed(): AppError {
  return new AppError('unavailable', 'the metadata service sent no valid answer')
}
