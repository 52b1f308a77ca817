/** A name as HTTP has it (RFC 9110 5.1). */
const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/

/** What no value may contain: the ends of a line, NUL, and what is no byte. */
const NO_VALUE = /[\0\r\n\u0100-\uffff]/

/** What is cut off at both ends of a value. */
const AROUND = /^[\t\n\r ]+|[\t\n\r ]+$/g

/** The one field whose values cannot be joined with commas. */
const COOKIE = 'set-cookie'

type Init = Iterable<readonly [string, string]> | Readonly<Record<string, string>>

/**
 * Header fields as the web's `Headers` has them, for the library, which takes them from the global of that name; the
 * bundle puts this class in its place (`scripts/build`). Node's own is a part of its web client, which takes 30 ms and
 * 2 MB at the first call that the library serves. In the order in which they came, not in that of their names.
 */
class HeaderFields implements Headers {
  readonly #fields = new Map<string, string[]>()

  constructor(init: Init = {}) {
    for (const [name, value] of Symbol.iterator in init ? init : Object.entries(init)) this.append(name, value)
  }

  /** Throws TypeError for a name or value that no header may have, as `set` does. */
  append(name: string, value: string): void {
    const [key, text] = [keyOf(name), textOf(value)]
    const texts = this.#fields.get(key)
    if (texts === undefined) this.#fields.set(key, [text])
    else texts.push(text)
  }

  set(name: string, value: string): void {
    this.#fields.set(keyOf(name), [textOf(value)])
  }

  get(name: string): string | null {
    return this.#fields.get(keyOf(name))?.join(', ') ?? null
  }

  getSetCookie(): string[] {
    return [...(this.#fields.get(COOKIE) ?? [])]
  }

  has(name: string): boolean {
    return this.#fields.has(keyOf(name))
  }

  delete(name: string): void {
    this.#fields.delete(keyOf(name))
  }

  forEach(use: (value: string, name: string, all: Headers) => void): void {
    for (const [name, value] of this) use(value, name, this)
  }

  *entries(): Generator<[string, string], undefined> {
    for (const [name, texts] of this.#fields) {
      if (name === COOKIE) for (const text of texts) yield [name, text]
      else yield [name, texts.join(', ')]
    }
  }

  *keys(): Generator<string, undefined> {
    for (const [name] of this) yield name
  }

  *values(): Generator<string, undefined> {
    for (const [, value] of this) yield value
  }

  [Symbol.iterator](): Generator<[string, string], undefined> {
    return this.entries()
  }
}

function keyOf(name: string): string {
  if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`)
  return name.toLowerCase()
}

function textOf(value: string): string {
  const text = String(value).replace(AROUND, '')
  if (NO_VALUE.test(text)) throw new TypeError('a value of a header has characters that none may have')
  return text
}

export { HeaderFields as Headers }
