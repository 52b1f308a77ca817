/** What is searched for. */
export interface Query {
  readonly text: string
  readonly where: 'names' | 'contents'
  readonly matchCase: boolean
  /** Of contents only. */
  readonly regex: boolean
  readonly hidden: boolean
  /** Leaves out what .gitignore files say. */
  readonly gitignore: boolean
}

/**
 * The glob (as in a .gitignore) of names that contain a text, or, with `*` or `?` in it, of names that are it. Without
 * `matchCase` each letter stands for both of its cases.
 */
export function globOf(text: string, matchCase: boolean): string {
  const pattern = /[*?]/.test(text) ? text : `*${escaped(text)}*`
  return matchCase ? pattern : pattern.replace(/\p{L}/gu, bothCases)
}

function escaped(text: string): string {
  return text.replace(/[[\]{}\\!]/g, (character) => `\\${character}`)
}

function bothCases(letter: string): string {
  const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()]
  return lower === upper || lower.length !== upper.length ? letter : `[${lower}${upper}]`
}

/** A line in pieces: what matched and what did not. @param matches in bytes of its UTF-8, in order. */
export function piecesOf(
  text: string,
  matches: readonly { readonly start: number; readonly end: number }[],
): readonly { readonly text: string; readonly matched: boolean }[] {
  const bytes = new TextEncoder().encode(text)
  const part = (start: number, end: number) => new TextDecoder().decode(bytes.subarray(start, end))
  const pieces: { text: string; matched: boolean }[] = []
  let at = 0
  for (const { start, end } of matches) {
    if (start < at || end <= start) continue
    if (start > at) pieces.push({ text: part(at, start), matched: false })
    pieces.push({ text: part(start, end), matched: true })
    at = end
  }
  if (at < bytes.length) pieces.push({ text: part(at, bytes.length), matched: false })
  return pieces
}
