/** One name of a pattern: `**` stands for any number of names. */
type Segment = '**' | readonly Token[]

/** A character, any one (`?`), any number of them (`*`), or one of a set (`[a-z]`, `[!a-z]`). */
type Token = string | typeof ANY | typeof MANY | CharacterSet

const ANY = Symbol('?')
const MANY = Symbol('*')

interface CharacterSet {
  readonly negated: boolean
  readonly ranges: readonly (readonly [string, string])[]
}

/** A parsed pattern, matched against a whole path. */
export type Glob = readonly Segment[]

/**
 * Parses one pattern of a .gitignore (gitignore(5)) without its `!` and its slash at the end. With a slash in it, it
 * counts from the directory that paths are relative to; without one, in every directory. One character per byte.
 */
export function parseGlob(pattern: string): Glob {
  const anchored = pattern.includes('/')
  const names = pattern.replace(/^\//, '').split('/')
  const segments = names.map((name) => (name === '**' ? name : tokensOf(name)))
  // `a/**` is what is in `a`, and not `a` itself.
  if (segments.at(-1) === '**' && anchored) segments.push([MANY])
  return anchored ? segments : ['**', ...segments]
}

/**
 * Whether a path matches, in time that grows with the product of the two lengths at most: there is no backtracking
 * beyond one star.
 */
export function matchesGlob(glob: Glob, path: string): boolean {
  return matchesAll(glob, path.split('/'), {
    isStar: (segment) => segment === '**',
    matches: (segment, name) => segment !== '**' && matchesName(segment, name),
  })
}

function matchesName(tokens: readonly Token[], name: string): boolean {
  return matchesAll(tokens, name, { isStar: (token) => token === MANY, matches: matchesToken })
}

interface Matching<P, T> {
  readonly isStar: (part: P) => boolean
  readonly matches: (part: P, item: T) => boolean
}

/**
 * Matches items against parts of which some (`isStar`) stand for any number of items. The shortest match up to a star
 * is as good as any, so that only the last star is ever tried again.
 */
function matchesAll<P, T>(parts: readonly P[], items: ArrayLike<T>, { isStar, matches }: Matching<P, T>): boolean {
  let part = 0
  let item = 0
  let star = -1
  let resume = 0
  while (item < items.length) {
    const current = parts[part]
    if (part < parts.length && isStar(current as P)) {
      star = part++
      resume = item
    } else if (part < parts.length && matches(current as P, items[item] as T)) {
      part++
      item++
    } else if (star >= 0) {
      part = star + 1
      item = ++resume
    } else return false
  }
  while (part < parts.length && isStar(parts[part] as P)) part++
  return part === parts.length
}

function matchesToken(token: Token, character: string): boolean {
  if (typeof token === 'string') return token === character
  if (typeof token === 'symbol') return token === ANY
  return token.ranges.some(([first, last]) => character >= first && character <= last) !== token.negated
}

function tokensOf(name: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < name.length; at++) {
    const character = name.charAt(at)
    if (character === '[') {
      const set = setAt(name, at)
      tokens.push(set.token)
      at = set.end
    } else if (character === '*') {
      if (tokens.at(-1) !== MANY) tokens.push(MANY)
    } else if (character === '?') tokens.push(ANY)
    else if (character === '\\' && at + 1 < name.length) tokens.push(name.charAt(++at))
    else tokens.push(character)
  }
  return tokens
}

/** The set that begins at a bracket, and where it ends; one that does not end matches nothing. */
function setAt(name: string, start: number): { readonly token: CharacterSet; readonly end: number } {
  const negated = name[start + 1] === '!' || name[start + 1] === '^'
  const first = start + (negated ? 2 : 1)
  const ranges: [string, string][] = []
  for (let at = first; at < name.length; at++) {
    // A closing bracket that comes first means itself.
    if (name[at] === ']' && at > first) return { token: { negated, ranges }, end: at }
    if (name[at] === '\\') at++
    const from = name.charAt(at)
    const isRange = name[at + 1] === '-' && at + 2 < name.length && name[at + 2] !== ']'
    if (isRange) at += name[at + 2] === '\\' ? 3 : 2
    ranges.push([from, name.charAt(at)])
  }
  return { token: { negated: false, ranges: [] }, end: name.length }
}
