/** The code of a character, any one (`?`), any number of them (`*`), or one of a set (`[a-z]`, `[!a-z]`). */
export type Token = number | typeof ANY | typeof MANY | CharacterSet

export const ANY = -1
export const MANY = -2

/** Characters are bytes. */
const CODES = 256
const BITS = 16

/** Takes the same time and memory however many ranges it was made of. */
class CharacterSet {
  /** A bit for each character. */
  readonly #bits: string

  constructor(members: Uint8Array, negated: boolean) {
    const bits = new Uint16Array(CODES / BITS)
    for (let word = 0; word < bits.length; word++)
      for (let bit = 0; bit < BITS; bit++)
        if ((members[word * BITS + bit] === 1) !== negated) bits[word] = (bits[word] ?? 0) | (1 << bit)
    this.#bits = String.fromCharCode(...bits)
  }

  has(code: number): boolean {
    return ((this.#bits.charCodeAt(Math.floor(code / BITS)) >> (code % BITS)) & 1) === 1
  }
}

/** The set that begins at a bracket, and where it ends; one that does not end matches nothing. */
export function setAt(name: string, start: number): { readonly token: CharacterSet; readonly end: number } {
  const negated = name[start + 1] === '!' || name[start + 1] === '^'
  const first = start + (negated ? 2 : 1)
  const members = new Uint8Array(CODES)
  for (let at = first; at < name.length; at++) {
    // A closing bracket that comes first means itself.
    if (name[at] === ']' && at > first) return { token: new CharacterSet(members, negated), end: at }
    if (name[at] === '\\') at++
    const from = name.charCodeAt(at)
    const isRange = name[at + 1] === '-' && at + 2 < name.length && name[at + 2] !== ']'
    if (isRange) at += name[at + 2] === '\\' ? 3 : 2
    members.fill(1, from, name.charCodeAt(at) + 1)
  }
  return { token: new CharacterSet(new Uint8Array(CODES), false), end: name.length }
}
