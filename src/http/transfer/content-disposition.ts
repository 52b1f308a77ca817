import { isUtf8 } from 'node:buffer'

/** Characters that end a token (RFC 2045 5.1). */
const SPECIAL = '()<>@,;:\\"/[]?='

/**
 * `inline; filename=…` for a download (contract B17; RFC 6266, RFC 5987): a token as it is, other ASCII quoted,
 * anything else as `filename*=utf-8''…`. Always valid in a header.
 */
export function inlineDisposition(name: string): string {
  if (/[^\t -~]/.test(name)) return `inline; filename*=utf-8''${percentEncode(name)}`
  if (name !== '' && [...name].every(isTokenCharacter)) return `inline; filename=${name}`
  return `inline; filename="${name.replace(/["\\]/g, '\\$&')}"`
}

function isTokenCharacter(character: string): boolean {
  return character > ' ' && character <= '~' && !SPECIAL.includes(character)
}

function percentEncode(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      if (byte < 0x7f && isTokenCharacter(character) && !"*'%".includes(character)) return character
      return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}

/** The parameters of a Content-Disposition header that name a form's part. */
interface PartDisposition {
  readonly name: string | undefined
  /** With its directories. Undefined: there is none, or it is not UTF-8. */
  readonly filename: string | undefined
}

/**
 * Reads the Content-Disposition of a form's part. `bytes` has one character per byte; names are UTF-8. A backslash
 * escapes only special characters, so that `C:\dev` survives; `%22`, `%0D` and `%0A` in a plain filename are what a
 * browser sends for a quote and line breaks (WHATWG form data); `filename*` wins (RFC 5987).
 */
export function parsePartDisposition(bytes: string): PartDisposition {
  const parameters = parametersOf(bytes)
  const extended = extendedValue(parameters.get('filename*'))
  const plain = parameters.get('filename')
  const name = parameters.get('name')
  return {
    name: name === undefined ? undefined : fromBytes(name),
    filename: extended ?? (plain === undefined ? undefined : fromBytes(plain)?.replace(/%(22|0D|0A)/gi, unescaped)),
  }
}

function unescaped(escaped: string): string {
  return String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
}

/** The first of several parameters with one name, less those whose quote does not end; names are lower-cased. */
function parametersOf(text: string): Map<string, string> {
  const parameters = new Map<string, string>()
  const pattern = /;\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;]*))/gs
  for (const [, name = '', quoted, token] of text.matchAll(pattern)) {
    if (token?.startsWith('"')) continue
    const value = quoted === undefined ? (token ?? '').trim() : unquote(quoted)
    if (!parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value)
  }
  return parameters
}

function unquote(text: string): string {
  return text.replace(/\\(.)/gs, (pair, escaped: string) => (SPECIAL.includes(escaped) ? escaped : pair))
}

/** `utf-8'en'%e2%82%ac` (RFC 5987); undefined where it is malformed or of another charset. */
function extendedValue(text: string | undefined): string | undefined {
  const match = /^utf-8'[^']*'(.*)$/is.exec(text ?? '')
  if (match === null) return undefined
  try {
    return decodeURIComponent(match[1] ?? '')
  } catch {
    return undefined
  }
}

function fromBytes(text: string): string | undefined {
  const bytes = Buffer.from(text, 'latin1')
  return isUtf8(bytes) ? bytes.toString('utf8') : undefined
}
