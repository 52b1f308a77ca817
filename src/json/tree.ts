import { AppError } from '../errors.ts'
import type { JsonLimits, Shape } from './shape.ts'

/** The values of JSON, and the bytes that a shape asked for. */
export type Json = string | number | boolean | null | Uint8Array | Json[] | { [name: string]: Json }

interface Level {
  readonly kind: 'object' | 'array'
  /** What is built; undefined where it is not wanted. */
  readonly into: Json[] | { [name: string]: Json } | undefined
  readonly shape: Shape | undefined
  /** Name of the member whose value comes next, and its shape. */
  name: string
  wanted: Shape | undefined
}

/** Builds what a shape wants of a JSON text, value by value, within limits. Throws AppError `too_large` beyond them. */
export class Tree {
  readonly #levels: Level[] = []
  readonly #limits: JsonLimits
  readonly #shape: Shape
  #values = 0
  #text = 0
  #root: Json = null

  constructor(shape: Shape, limits: JsonLimits) {
    this.#shape = shape
    this.#limits = limits
  }

  get root(): Json {
    return this.#root
  }

  /** Kind of the innermost open object or list. */
  get open(): 'object' | 'array' | undefined {
    return this.#levels.at(-1)?.kind
  }

  /** Shape of the next value; undefined: it is not wanted. */
  get wanted(): Shape | undefined {
    const level = this.#levels.at(-1)
    if (level === undefined) return this.#shape
    return level.kind === 'object' ? level.wanted : level.shape?.item
  }

  /** Whether the names of the innermost object matter. */
  get named(): boolean {
    return this.#levels.at(-1)?.shape !== undefined
  }

  name(name: string | undefined): void {
    const level = this.#levels.at(-1)
    if (level === undefined) return
    level.name = name ?? ''
    level.wanted = name === undefined ? undefined : level.shape?.member(name)
    if (name !== undefined && level.wanted !== undefined) this.#countText(name.length)
  }

  begin(kind: 'object' | 'array'): void {
    if (this.#levels.length >= this.#limits.depth)
      throw new AppError('too_large', `JSON is nested deeper than ${this.#limits.depth} levels`)
    const shape = this.wanted
    // Without a prototype every name is one like any other, __proto__ too.
    const into: Level['into'] = shape === undefined ? undefined : kind === 'array' ? [] : Object.create(null)
    if (into !== undefined) this.add(into)
    this.#levels.push({ kind, into, shape, name: '', wanted: undefined })
  }

  end(): void {
    this.#levels.pop()
  }

  /** Adds a value that is wanted. */
  add(value: Json): void {
    this.#values += this.wanted?.weight ?? 0
    if (this.#values > this.#limits.values)
      throw new AppError('too_large', `the message has more than ${this.#limits.values} values`)
    if (typeof value === 'string') this.#countText(value.length)
    const level = this.#levels.at(-1)
    if (level?.into === undefined) this.#root = value
    else if (Array.isArray(level.into)) level.into.push(value)
    else level.into[level.name] = value
  }

  #countText(characters: number): void {
    this.#text += characters
    if (this.#text > this.#limits.text) throw tooMuchText(this.#limits.text)
  }
}

/** As execve(2) says it: nothing but a command's arguments and variables has that much text. */
export function tooMuchText(limit: number): AppError {
  return new AppError('invalid_argument', `argument list too long: more than ${limit} bytes of text`)
}
