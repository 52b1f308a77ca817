import type { Terminal } from '@xterm/headless'
import { type CharsetService, innerOf } from './inner.ts'

/** What designates G0 to G3 (ECMA-35 14.3), as intermediate of an escape sequence. */
const DESIGNATORS = ['(', ')', '*', '+'] as const
const OTHERS: Readonly<Record<string, number>> = { '-': 1, '.': 2 }

/** Final bytes of the sets that the emulator has, ASCII excepted. */
const FINALS = ['0', 'A', '4', 'C', '5', 'R', 'Q', 'K', 'Y', 'E', '6', 'Z', 'H', '7', '=']

/** SI, SO, LS2 and LS3, by which one of G0 to G3 is used. */
const SHIFTS = ['', '\u000e', '\u001bn', '\u001bo']

/** The character sets of an emulator, which knows them but not their names. */
export class Charsets {
  readonly #service: CharsetService
  /** Final byte of each set that was seen. */
  readonly #names = new Map<object, string>()
  /** What was designated last. */
  readonly #designated: (string | undefined)[] = []

  constructor(terminal: Terminal) {
    this.#service = innerOf(terminal)._charsetService
    const designate = (level: number, final: string) => () => {
      this.#learn()
      this.#designated[level] = final
      return false
    }
    const levels = [...DESIGNATORS.map((one, level) => [one, level] as const), ...Object.entries(OTHERS)]
    for (const [intermediates, level] of levels)
      for (const final of FINALS) terminal.parser.registerEscHandler({ intermediates, final }, designate(level, final))
  }

  /** The sequence that makes a terminal which has ASCII everywhere use the same sets. */
  text(): string {
    const sets = DESIGNATORS.map((one, level) => {
      const name = this.#nameOf(this.#service._charsets[level])
      return name === undefined ? '' : `\u001b${one}${name}`
    })
    return `${sets.join('')}${SHIFTS[this.#service.glevel] ?? ''}`
  }

  /** Designates that set as G0, and ASCII again; both empty for ASCII. */
  around(set: object | undefined): readonly [before: string, after: string] {
    const name = this.#nameOf(set)
    return name === undefined ? ['', ''] : [`\u001b(${name}`, '\u001b(B']
  }

  /**
   * A restored cursor (DECRC) has brought that set into use, and not the one that is designated.
   * @param printed characters that the set must leave as they are.
   */
  isRestored(saved: object | undefined, printed: string): boolean {
    const { charset, glevel, _charsets } = this.#service
    if (charset !== saved || charset === _charsets[glevel]) return false
    return charset === undefined || [...printed].every((character) => charset[character] === undefined)
  }

  #nameOf(set: object | undefined): string | undefined {
    this.#learn()
    return set === undefined ? undefined : this.#names.get(set)
  }

  /** The emulator changes a set after its handlers here are called, so names are learnt before the next change. */
  #learn(): void {
    for (const [level, set] of this.#service._charsets.entries()) {
      const name = this.#designated[level]
      if (set !== undefined && name !== undefined && !this.#names.has(set)) this.#names.set(set, name)
    }
  }
}
