import type { Steps } from '../lib/steps.ts'
import { ANY, MANY, setAt, type Token } from './glob-token.ts'

/** What one name in a path must be. */
type NamePattern = readonly Token[]

/** A parsed pattern, matched against a whole path. */
export interface Glob {
  /** The names that the path begins with. */
  readonly first: readonly NamePattern[]
  /** Names that follow each other, each list of them anywhere behind the one before it. */
  readonly middle: readonly (readonly NamePattern[])[]
  /** The names that it ends with; undefined: with those of `first`. */
  readonly last: readonly NamePattern[] | undefined
}

/** A path, split when that is needed. One character per byte. */
interface SplitPath {
  /** The last name. */
  readonly name: string
  readonly names: readonly string[]
}

export function splitPath(path: string): SplitPath {
  let names: readonly string[] | undefined
  return {
    name: path.slice(path.lastIndexOf('/') + 1),
    get names() {
      names ??= path.split('/')
      return names
    },
  }
}

/**
 * Parses one pattern of a .gitignore (gitignore(5)) without its `!` and its slash at the end. With a slash in it, it
 * counts from the directory that paths are relative to; without one, in every directory. One character per byte.
 */
export function parseGlob(pattern: string): Glob {
  if (!pattern.includes('/')) return { first: [], middle: [], last: pattern === '**' ? [] : [tokensOf(pattern)] }
  const parts = pattern.replace(/^\//, '').split('/')
  // `a/**` is what is in `a`, and not `a` itself.
  if (parts.at(-1) === '**') parts.push('*')
  const lists: NamePattern[][] = [[]]
  for (const part of parts)
    if (part === '**') lists.push([])
    else lists.at(-1)?.push(tokensOf(part))
  const [first = [], ...rest] = lists
  return { first, middle: rest.slice(0, -1).filter((list) => list.length > 0), last: rest.at(-1) }
}

/**
 * Whether the ends of a path are as they must be; its middle is left to `matchesMiddle`. Each byte of the pattern takes
 * a step for each byte of one name at most.
 */
export function matchesEnds({ first, middle, last }: Glob, path: SplitPath): boolean {
  if (first.length === 0 && middle.length === 0 && last?.length === 1)
    return matchesName(last[0] as NamePattern, path.name)
  const { names } = path
  const rest = names.length - first.length - (last?.length ?? 0)
  if (last === undefined ? rest !== 0 : rest < 0) return false
  return (last === undefined || matchesAt(last, names, names.length - last.length)) && matchesAt(first, names, 0)
}

/** Comparisons of bytes in one step, and as many as comparing two names takes beside them: 0.1 ms. */
const STEP_WORK = 64 * 1024
const NAME_WORK = 16

/**
 * Whether the middle of a path, whose ends match, is as it must be: there is no going back beyond one list, as the
 * first place for it is as good as any. In steps, as all together may be as many as the product of the two lengths.
 */
export function* matchesMiddle({ first, middle, last }: Glob, { names }: SplitPath): Steps<boolean> {
  const end = names.length - (last?.length ?? 0)
  let at = first.length
  let work = 0
  for (const list of middle) {
    for (let matched = 0; matched < list.length; ) {
      if (at + list.length > end) return false
      const pattern = list[matched] as NamePattern
      const name = names[at + matched] ?? ''
      work += NAME_WORK + pattern.length * name.length
      if (matchesName(pattern, name)) matched++
      else {
        matched = 0
        at++
      }
      if (work < STEP_WORK) continue
      work = 0
      yield
    }
    at += list.length
  }
  return true
}

function matchesAt(list: readonly NamePattern[], names: readonly string[], at: number): boolean {
  return list.every((pattern, index) => matchesName(pattern, names[at + index] ?? ''))
}

/** The shortest match up to a star is as good as any, so that only the last star is ever tried again. */
function matchesName(tokens: NamePattern, name: string): boolean {
  let part = 0
  let at = 0
  let star = -1
  let resume = 0
  while (at < name.length) {
    const token = tokens[part]
    if (token === MANY) {
      star = part++
      resume = at
    } else if (token !== undefined && matchesToken(token, name.charCodeAt(at))) {
      part++
      at++
    } else if (star >= 0) {
      part = star + 1
      at = ++resume
    } else return false
  }
  while (tokens[part] === MANY) part++
  return part === tokens.length
}

function matchesToken(token: Token, code: number): boolean {
  return typeof token === 'number' ? token === code || token === ANY : token.has(code)
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
    else if (character === '\\' && at + 1 < name.length) tokens.push(name.charCodeAt(++at))
    else tokens.push(name.charCodeAt(at))
  }
  // Without the room that was left to grow, which is most of a short one.
  return tokens.slice()
}
