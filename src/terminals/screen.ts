import headless, { type IBuffer, type IModes, type Terminal } from '@xterm/headless'
import type { TerminalSize } from '../process/process.ts'
import { isExtended, lastCell, linesText, linkOf, nextSgr, sameLook, sgr } from './cells.ts'
import { Charsets } from './charsets.ts'
import { type InnerBuffer, innerOf } from './inner.ts'
import { Links } from './links.ts'
import { limitRepetitions } from './repetitions.ts'
import { Scanner } from './scanner.ts'

/** Lines above the screen that are kept. */
const SCROLLBACK = 1_000

/** Cells of a screen with what is above it; 12 bytes each. A thousand lines of 250 columns; wider ones keep fewer. */
const MAX_CELLS = 256 * 1024
const CELL_BYTES = 12

/** Of the screen itself: one sequence may go through all of its lines and cells, which takes up to 5 ms. */
const MAX_ROWS = 300
const MAX_SHOWN_CELLS = 64 * 1024

/** What the cells of a screen of that size take at most, with the lines above it and the alternate screen. */
export function screenBytes(size: TerminalSize): number {
  const { columns, rows } = fitting(size)
  return (2 * rows + scrollbackOf({ columns, rows })) * columns * CELL_BYTES
}

/** Cells that are written out before other work gets a turn: 1.5 ms where each has colors of its own. */
const CELLS_PER_PART = 2 * 1024

/** Characters of a title or directory. */
const MAX_TEXT = 1_000

/** An underline with its style, color and link, and the place of it beside its cell. */
const EXTENDED_BYTES = 56

/** Parameters of SGR that set it. */
const UNDERLINES: ReadonlySet<unknown> = new Set([4, 21, 58])

/** Largest parameter of DECSCUSR: a steady bar. */
const MAX_CURSOR_STYLE = 6

/** A cell may have any number of combining characters: after that many in all they are left out. */
const MAX_MARKS = 64 * 1024
const MARKS = /[\p{M}\p{Cf}\u1160-\u11ff]/gu

/**
 * Private modes that the emulator has but does not write out: form and visibility of the cursor, encodings of the
 * mouse.
 */
const OWN_MODES: ReadonlySet<number> = new Set([12, 25, 1005, 1006, 1015, 1016])

/** The screen of a terminal, as an emulator draws it from the output. Its calls must not overlap. */
export class Screen {
  readonly #terminal: Terminal
  readonly #scanner = new Scanner()
  readonly #decoder = new TextDecoder()
  readonly #modes = new Map<number, boolean>()
  #marks = 0
  /** How often a line below text was set, or its style or color: the emulator keeps an object for each. */
  #extended = 0
  readonly #charsets: Charsets
  readonly #links: Links
  /** Parameter of DECSCUSR; 0: the terminal's default. */
  #cursorStyle = 0
  title = ''
  cwd = ''

  constructor(size: TerminalSize) {
    const { columns: cols, rows } = fitting(size)
    const scrollback = scrollbackOf({ columns: cols, rows })
    this.#terminal = new headless.Terminal({ cols, rows, scrollback, allowProposedApi: true, logLevel: 'off' })
    this.#terminal.onTitleChange((title) => {
      this.title = title.slice(0, MAX_TEXT)
    })
    this.#charsets = new Charsets(this.#terminal)
    this.#links = new Links(this.#terminal)
    limitRepetitions(this.#terminal)
    this.#handlers()
  }

  /** Bytes that were written but are part of an unfinished sequence or character, and have had no effect yet. */
  get pending(): number {
    return this.#scanner.pending
  }

  /** Bytes that links and looks of cells take beside `screenBytes`, at most. */
  get extraBytes(): number {
    const { cols, rows } = this.#terminal
    const cells = (2 * rows + scrollbackOf({ columns: cols, rows })) * cols
    return Math.min(this.#extended + this.#links.count, cells) * EXTENDED_BYTES + this.#links.bytes
  }

  /** It shows the alternate screen. */
  get alternate(): boolean {
    return this.#terminal.buffer.active.type === 'alternate'
  }

  /** Draws a piece of output before it returns. */
  write(bytes: Uint8Array): void {
    const text = this.#unmarked(this.#decoder.decode(this.#scanner.scan(bytes), { stream: true }))
    if (text !== '') innerOf(this.#terminal).writeSync(text)
  }

  /** Changes the size, as the terminal itself has done it. */
  resize(size: TerminalSize): void {
    const { columns, rows } = fitting(size)
    this.#terminal.options.scrollback = scrollbackOf({ columns, rows })
    this.#terminal.resize(columns, rows)
  }

  /**
   * The screen as sequences that an empty terminal of its size draws, in parts between which other work may have a
   * turn.
   */
  *snapshot(): Generator<string, void> {
    const { buffer, cols, rows } = this.#terminal
    const { normal } = buffer
    const { buffers } = innerOf(this.#terminal)
    const lines = Math.max(1, Math.floor(CELLS_PER_PART / cols))
    const end = normal.baseY + rows
    const form = { columns: cols, links: this.#links }
    for (let start = 0; start < end; start += lines) {
      yield linesText(normal, { ...form, start, end: Math.min(start + lines, end), last: end })
    }
    if (this.alternate) {
      const [charset, ascii] = this.#charsets.around(buffers.normal.savedCharset)
      yield `${this.#kept(buffers.normal)}${charset}${this.#saving(buffers.normal, '[?1049h')}${ascii}\u001b[0m\u001b[2J`
      for (let start = 0; start < rows; start += lines) yield this.#alternateLines(start, Math.min(start + lines, rows))
    }
    yield [...this.#rest()].join('')
  }

  #alternateLines(start: number, end: number): string {
    const { buffer, cols: columns } = this.#terminal
    const range = { start, end, last: end }
    return `\u001b[${start + 1}H${linesText(buffer.alternate, { columns, links: this.#links, ...range })}`
  }

  dispose(): void {
    this.#terminal.dispose()
  }

  /** Scrolling region, tab stops and what is saved, cursor, look of what is printed next, modes and title. */
  *#rest(): Generator<string, void> {
    const { cols, buffer, modes } = this.#terminal
    const { buffers, _inputHandler } = innerOf(this.#terminal)
    const inner = this.alternate ? buffers.alt : buffers.normal
    const [charset, ascii] = this.#charsets.around(inner.savedCharset)
    const { active } = buffer
    yield `${this.#kept(inner)}${charset}${this.#saving(inner)}${ascii}`
    const form = { columns: cols, top: modes.originMode ? inner.scrollTop : 0 }
    const last = lastCell(active, { ...form, insert: modes.insertMode })
    // What is printed below must come out as it is.
    const restored = this.#charsets.isRestored(inner.savedCharset, active.cursorX < cols ? '' : (last?.chars ?? ''))
    if (restored) yield `${this.#charsets.text()}\u001b8`
    // It moves the cursor, and from then on counts rows from the region's first.
    if (modes.originMode) yield '\u001b[?6h'
    if (active.cursorX >= cols) yield this.#behindLastColumn(form)
    else yield position(active, form.top)
    const next = _inputHandler._curAttrData
    yield nextSgr(next)
    yield modeText(modes)
    for (const [mode, on] of this.#modes) yield `\u001b[?${mode}${on ? 'h' : 'l'}`
    if (this.#cursorStyle !== 0) yield `\u001b[${this.#cursorStyle} q`
    if (!restored) yield this.#charsets.text()
    if (this.title !== '') yield `\u001b]2;${this.title}\u0007`
    if (linkOf(next) !== 0) yield this.#links.text(linkOf(next))
    // Printed once more at the very end: marks that follow combine with it, and REP repeats it.
    const joins = _inputHandler._parser.precedingJoinState !== 0 && last !== undefined && sameLook(last.look, next)
    if (joins && last.chars !== '') yield `${last.place}${last.chars}`
  }

  /** The cell in the last column, which leaves the cursor behind it. */
  #behindLastColumn(form: { readonly columns: number; readonly top: number }): string {
    const last = lastCell(this.#terminal.buffer.active, { ...form, insert: false })
    if (last === undefined) return ''
    const link = linkOf(last.look)
    const [begin, end] = link === 0 ? ['', ''] : [this.#links.text(link), this.#links.text(0)]
    return `${last.place}${sgr(last.look)}${begin}${last.chars || ' '}${end}`
  }

  /** What a screen has beside its lines: region and tab stops, and the cursor where it was saved. */
  #kept(inner: InnerBuffer): string {
    return `${this.#region(inner)}${tabStops(inner, this.#terminal.cols)}${saved(inner)}`
  }

  /** Saves the cursor, within a link if it was saved in one: that of now, or the one that began last. */
  #saving({ savedCurAttrData }: InnerBuffer, sequence = '7'): string {
    const save = `\u001b${sequence}`
    if (!isExtended(savedCurAttrData)) return save
    const { urlId } = innerOf(this.#terminal)._inputHandler._curAttrData.extended
    return `${this.#links.text(urlId || this.#links.last)}${save}${this.#links.text(0)}`
  }

  #region({ scrollTop, scrollBottom }: InnerBuffer): string {
    const whole = scrollTop === 0 && scrollBottom === this.#terminal.rows - 1
    return whole ? '' : `\u001b[${scrollTop + 1};${scrollBottom + 1}r`
  }

  #handlers(): void {
    const { parser } = this.#terminal
    const set = (on: boolean) => (parameters: (number | number[])[]) => {
      for (const mode of parameters) if (typeof mode === 'number' && OWN_MODES.has(mode)) this.#modes.set(mode, on)
      return false
    }
    parser.registerCsiHandler({ final: 'm' }, (parameters) => {
      this.#extended += parameters.filter((parameter) => UNDERLINES.has(parameter)).length
      return false
    })
    parser.registerCsiHandler({ prefix: '?', final: 'h' }, set(true))
    parser.registerCsiHandler({ prefix: '?', final: 'l' }, set(false))
    // RIS, as reset(1) sends it.
    parser.registerEscHandler({ final: 'c' }, () => {
      this.#modes.clear()
      this.#cursorStyle = 0
      return false
    })
    // DECSTR.
    parser.registerCsiHandler({ intermediates: '!', final: 'p' }, () => {
      this.#modes.delete(25)
      this.#cursorStyle = 0
      return false
    })
    parser.registerCsiHandler({ intermediates: ' ', final: 'q' }, ([style = 1]) => {
      if (typeof style === 'number' && style <= MAX_CURSOR_STYLE) this.#cursorStyle = style
      return false
    })
    parser.registerOscHandler(7, (url) => {
      this.cwd = pathOf(url)
      return true
    })
  }

  #unmarked(text: string): string {
    const marks = text.match(MARKS)?.length ?? 0
    this.#marks += marks
    return marks > 0 && this.#marks > MAX_MARKS ? text.replace(MARKS, '') : text
  }
}

function position({ cursorX, cursorY }: IBuffer, top = 0): string {
  return `\u001b[${cursorY - top + 1};${cursorX + 1}H`
}

/** Puts cursor and look where they were when they were saved. */
function saved({ savedX, savedY, savedCurAttrData, ybase }: InnerBuffer): string {
  return `\u001b[${Math.max(savedY - ybase, 0) + 1};${savedX + 1}H${sgr(savedCurAttrData)}`
}

/** Tab stops where they are not every eight columns (TBC, HTS). */
function tabStops({ tabs }: InnerBuffer, columns: number): string {
  const stops = Array.from({ length: columns }, (_, column) => column).filter((column) => tabs[column] === true)
  if (stops.length === Math.ceil(columns / TAB) && stops.every((column) => column % TAB === 0)) return ''
  return `\u001b[3g${stops.map((column) => `\u001b[${column + 1}G\u001bH`).join('')}`
}

const TAB = 8

const MOUSE = { none: '', x10: '\u001b[?9h', vt200: '\u001b[?1000h', drag: '\u001b[?1002h', any: '\u001b[?1003h' }

/** What differs from the modes of an empty terminal, but for origin mode. */
function modeText(modes: IModes): string {
  const set = [
    [modes.applicationCursorKeysMode, '?1h'],
    [modes.applicationKeypadMode, '?66h'],
    [modes.bracketedPasteMode, '?2004h'],
    [modes.insertMode, '4h'],
    [modes.reverseWraparoundMode, '?45h'],
    [modes.sendFocusMode, '?1004h'],
    [!modes.wraparoundMode, '?7l'],
  ] as const
  return set.map(([on, code]) => (on ? `\u001b[${code}` : '')).join('') + MOUSE[modes.mouseTrackingMode]
}

function fitting({ columns, rows }: TerminalSize): TerminalSize {
  const width = Math.min(Math.max(columns, 2), 4_096)
  return { columns: width, rows: Math.min(Math.max(rows, 1), MAX_ROWS, Math.floor(MAX_SHOWN_CELLS / width)) }
}

function scrollbackOf({ columns, rows }: TerminalSize): number {
  return Math.max(0, Math.min(SCROLLBACK, Math.floor(MAX_CELLS / columns) - rows))
}

/** Path of `file://host/path`; empty for anything else. */
function pathOf(url: string): string {
  const path = /^file:\/\/[^/]*(\/.*)$/.exec(url)?.[1] ?? ''
  try {
    return decodeURIComponent(path).slice(0, MAX_TEXT)
  } catch {
    return ''
  }
}
