/**
 * Bytes of one string sequence (OSC, DCS, APC, PM, SOS) that a screen is fed; titles are shorter, and a screen draws no
 * pictures.
 */
const MAX_STRING_BYTES = 4096

const ESC = 0x1b
const BEL = 0x07

/**
 * Second byte of a sequence that is a string: `P`, `X`, `]`, `^`, `_`; the same as second byte of C1 in UTF-8 is 0x40
 * higher.
 */
const STRINGS: ReadonlySet<number> = new Set([0x50, 0x58, 0x5d, 0x5e, 0x5f])

type State = 'ground' | 'character' | 'escape' | 'control' | 'string' | 'string escape'

/**
 * Follows the output of a terminal byte by byte (ECMA-48 5.3 and 5.4, with UTF-8), to say where a sequence or character
 * is unfinished, and to cut long strings, which an emulator would hold in memory.
 */
export class Scanner {
  #state: State = 'ground'
  /** Continuation bytes of the character still to come. */
  #left = 0
  #lead = 0
  #length = 0
  /** Bytes since the last moment at which nothing was unfinished. */
  pending = 0

  /** What of these bytes an emulator is to get: a copy, or the bytes themselves. */
  scan(bytes: Uint8Array): Uint8Array {
    let kept: Uint8Array | undefined
    let length = 0
    for (const [at, byte] of bytes.entries()) {
      this.#state = this.#next(byte)
      this.pending = this.#state === 'ground' ? 0 : this.pending + 1
      if (this.#state === 'string' && this.#length > MAX_STRING_BYTES) {
        kept ??= bytes.slice()
        continue
      }
      if (kept !== undefined) kept[length++] = byte
      else length = at + 1
    }
    return kept?.subarray(0, length) ?? bytes
  }

  #next(byte: number): State {
    switch (this.#state) {
      case 'ground':
        return this.#ground(byte)
      case 'character':
        return this.#character(byte)
      case 'control':
        if (byte === ESC) return 'escape'
        return (byte >= 0x40 && byte <= 0x7e) || isCancel(byte) ? 'ground' : 'control'
      case 'string':
        this.#length++
        if (byte === ESC) return 'string escape'
        return byte === BEL || isCancel(byte) ? 'ground' : 'string'
      case 'escape':
      case 'string escape':
        return this.#escape(byte)
    }
  }

  #ground(byte: number): State {
    if (byte === ESC) return 'escape'
    if (byte < 0xc2 || byte > 0xf4) return 'ground'
    this.#lead = byte
    this.#left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    return 'character'
  }

  #character(byte: number): State {
    if (byte < 0x80 || byte > 0xbf) return this.#ground(byte)
    // C1 in UTF-8.
    if (this.#lead === 0xc2 && byte <= 0x9f) return this.#escape(byte - 0x40)
    this.#left--
    return this.#left > 0 ? 'character' : 'ground'
  }

  #escape(byte: number): State {
    if (byte === 0x5b) return 'control'
    if (byte === ESC || (byte >= 0x20 && byte <= 0x2f)) return 'escape'
    if (!STRINGS.has(byte)) return 'ground'
    this.#length = 0
    return 'string'
  }
}

/** CAN and SUB end any sequence. */
function isCancel(byte: number): boolean {
  return byte === 0x18 || byte === 0x1a
}
