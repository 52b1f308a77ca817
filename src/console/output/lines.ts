import { PLAIN, styleAfter, type TextStyle } from './ansi.ts'

/** What a line belongs to; notes are the page's own. */
type LineKind = 'stdout' | 'stderr' | 'pty' | 'note'

/** A line of output. */
export interface OutputLine {
  readonly kind: LineKind
  /** As it came, with escape sequences, without its line feed. */
  readonly text: string
  /** Its look at the beginning, which lines before it have set. */
  readonly style: TextStyle
}

/** Characters that are kept in sum, and lines: what a phone can search at once. */
const MAX_CHARS = 2 * 1024 * 1024
const MAX_LINES = 20_000
/** A longer line is broken: one that never ends must not grow for ever. */
const MAX_LINE_CHARS = 2_000

/** The newest lines, numbered from 0 over all that there ever were. */
export class Lines {
  #lines: OutputLine[] = []
  #start = 0
  #chars = 0
  /** Number of the line of each kind that has no line feed yet. */
  readonly #open = new Map<LineKind, number>()
  readonly #styles = new Map<LineKind, TextStyle>()

  /** Number of the oldest line that is kept. */
  get start(): number {
    return this.#start
  }

  /** The number that the next line will have. */
  get end(): number {
    return this.#start + this.#lines.length
  }

  /** The line of that number; undefined: it is not kept. */
  at(number: number): OutputLine | undefined {
    return this.#lines[number - this.#start]
  }

  /** Adds text, which may begin and end within a line. */
  add(kind: LineKind, text: string): void {
    const pieces = text.split('\n')
    for (const [index, piece] of pieces.entries()) {
      this.#append(kind, piece)
      if (index < pieces.length - 1) this.#finish(kind)
    }
    this.#trim()
  }

  /** Adds a line of the page's own. */
  note(text: string): void {
    this.add('note', `${text}\n`)
  }

  /** A carriage return begins the line again, as progress bars do. */
  #append(kind: LineKind, piece: string): void {
    const body = piece.endsWith('\r') ? piece.slice(0, -1) : piece
    const open = this.#openLine(kind)
    if (body === '' && open === undefined && piece === '') return
    const last = body.lastIndexOf('\r')
    const text = last >= 0 ? body.slice(last + 1) : (open?.text ?? '') + body
    const parts = text.match(PARTS) ?? ['']
    for (const [index, part] of parts.entries()) {
      if (index === 0) this.#put(kind, part)
      else {
        this.#finish(kind)
        this.#put(kind, part)
      }
    }
  }

  #openLine(kind: LineKind): OutputLine | undefined {
    const number = this.#open.get(kind)
    return number === undefined ? undefined : this.at(number)
  }

  /** Sets the text of the open line, or opens one. */
  #put(kind: LineKind, text: string): void {
    const number = this.#open.get(kind)
    const before = number === undefined ? undefined : this.at(number)
    if (number === undefined || before === undefined) {
      this.#open.set(kind, this.end)
      this.#lines.push({ kind, text, style: this.#styles.get(kind) ?? PLAIN })
      this.#chars += text.length
      return
    }
    this.#lines[number - this.#start] = { ...before, text }
    this.#chars += text.length - before.text.length
  }

  #finish(kind: LineKind): void {
    if (this.#openLine(kind) === undefined) this.#put(kind, '')
    const line = this.#openLine(kind)
    if (line !== undefined) this.#styles.set(kind, styleAfter(line.text, line.style))
    this.#open.delete(kind)
  }

  #trim(): void {
    let count = Math.max(0, this.#lines.length - MAX_LINES)
    let chars = this.#chars
    for (let i = 0; i < this.#lines.length - 1; i++) {
      if (i >= count && chars <= MAX_CHARS) break
      chars -= this.#lines[i]?.text.length ?? 0
      count = Math.max(count, i + 1)
    }
    if (count === 0) return
    this.#lines = this.#lines.slice(count)
    this.#start += count
    this.#chars = chars
  }
}

const PARTS = new RegExp(`[^]{1,${MAX_LINE_CHARS}}`, 'gu')
