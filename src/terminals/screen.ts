import headless, { type IBuffer, type IModes, type Terminal } from '@xterm/headless'
import type { TerminalSize } from '../process/process.ts'
import { type Look, lastCellText, linesText, sgr } from './cells.ts'
import { Scanner } from './scanner.ts'

/** Lines above the screen that are kept. */
const SCROLLBACK = 1_000

/** Cells of a screen with what is above it; 12 bytes each. A thousand lines of 250 columns; wider ones keep fewer. */
const MAX_CELLS = 256 * 1024
const CELL_BYTES = 12

/** What the cells of a screen of that size take at most, with the lines above it and the alternate screen. */
export function screenBytes(size: TerminalSize): number {
  const { columns, rows } = fitting(size)
  return (2 * rows + scrollbackOf({ columns, rows })) * columns * CELL_BYTES
}

/** Cells that are written out before other work gets a turn: less than 2 ms. */
const CELLS_PER_PART = 8 * 1024

/** Characters of a title or directory. */
const MAX_TEXT = 1_000

/** A cell may have any number of combining characters: after that many in all they are left out. */
const MAX_MARKS = 64 * 1024
const MARKS = /[\p{M}\p{Cf}\u1160-\u11ff]/gu

/**
 * Private modes that the emulator has but does not write out: form and visibility of the cursor, encodings of the
 * mouse.
 */
const OWN_MODES: ReadonlySet<number> = new Set([12, 25, 1005, 1006, 1015, 1016])

/** What is not in the typed face of the emulator. */
interface Inner {
  readonly _core: {
    readonly buffers: { readonly normal: InnerBuffer; readonly alt: InnerBuffer }
    readonly _inputHandler: { readonly _curAttrData: Look }
  }
}

interface InnerBuffer {
  readonly scrollTop: number
  readonly scrollBottom: number
  /** What DECSC has saved. */
  readonly savedX: number
  readonly savedY: number
  readonly savedCurAttrData: Look
  readonly ybase: number
}

/** The screen of a terminal, as an emulator draws it from the output. Its calls must not overlap. */
export class Screen {
  readonly #terminal: Terminal
  readonly #scanner = new Scanner()
  readonly #decoder = new TextDecoder()
  readonly #modes = new Map<number, boolean>()
  #marks = 0
  /** Final byte of what designates G0. */
  #charset: 'B' | '0' = 'B'
  title = ''
  cwd = ''

  constructor(size: TerminalSize) {
    const { columns: cols, rows } = fitting(size)
    const scrollback = scrollbackOf({ columns: cols, rows })
    this.#terminal = new headless.Terminal({ cols, rows, scrollback, allowProposedApi: true, logLevel: 'off' })
    this.#terminal.onTitleChange((title) => {
      this.title = title.slice(0, MAX_TEXT)
    })
    this.#handlers()
  }

  /** Bytes that were written but are part of an unfinished sequence or character, and have had no effect yet. */
  get pending(): number {
    return this.#scanner.pending
  }

  /** It shows the alternate screen. */
  get alternate(): boolean {
    return this.#terminal.buffer.active.type === 'alternate'
  }

  /** Draws a piece of output. Resolves, with the milliseconds that it took, when that is done. */
  write(bytes: Uint8Array): Promise<number> {
    const text = this.#unmarked(this.#decoder.decode(this.#scanner.scan(bytes), { stream: true }))
    return new Promise((resolve) => {
      let began = 0
      // The emulator works in a timer of the same length: this one runs just before it.
      setTimeout(() => {
        began = performance.now()
      }, 0)
      this.#terminal.write(text, () => resolve(performance.now() - began))
    })
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
    const { normal, alternate } = buffer
    const lines = Math.max(1, Math.floor(CELLS_PER_PART / cols))
    const end = normal.baseY + rows
    for (let start = 0; start < end; start += lines) {
      const last = Math.min(start + lines, end)
      yield `${linesText(normal, cols, { start, end: last })}${last < end ? '\r\n' : ''}`
    }
    if (this.alternate) {
      yield `${this.#region(this.#inner.buffers.normal)}${saved(this.#inner.buffers.normal)}\u001b[?1049h\u001b[0m\u001b[2J`
      for (let start = 0; start < rows; start += lines)
        yield `\u001b[${start + 1}H${linesText(alternate, cols, { start, end: Math.min(start + lines, rows) })}`
    }
    yield [...this.#rest()].join('')
  }

  dispose(): void {
    this.#terminal.dispose()
  }

  /** Scrolling region, which moves the cursor, cursor, look of what is printed next, modes and title. */
  *#rest(): Generator<string, void> {
    const { cols, buffer, modes } = this.#terminal
    const { buffers, _inputHandler } = this.#inner
    const inner = this.alternate ? buffers.alt : buffers.normal
    yield `${this.#region(inner)}${saved(inner)}\u001b7`
    // It moves the cursor, and from then on counts rows from the region's first.
    if (modes.originMode) yield '\u001b[?6h'
    const { active } = buffer
    if (active.cursorX >= cols && !modes.originMode) yield lastCellText(active, cols)
    else yield position(active, modes.originMode ? inner.scrollTop : 0)
    yield sgr(_inputHandler._curAttrData)
    yield modeText(modes)
    for (const [mode, on] of this.#modes) yield `\u001b[?${mode}${on ? 'h' : 'l'}`
    if (this.#charset !== 'B') yield `\u001b(${this.#charset}`
    if (this.title !== '') yield `\u001b]2;${this.title}\u0007`
  }

  /** Undocumented, and the same since version 4. */
  get #inner(): Inner['_core'] {
    return (this.#terminal as unknown as Inner)._core
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
    parser.registerCsiHandler({ prefix: '?', final: 'h' }, set(true))
    parser.registerCsiHandler({ prefix: '?', final: 'l' }, set(false))
    // RIS, as reset(1) sends it.
    parser.registerEscHandler({ final: 'c' }, () => {
      this.#modes.clear()
      this.#charset = 'B'
      return false
    })
    for (const final of ['B', '0'] as const)
      parser.registerEscHandler({ intermediates: '(', final }, () => {
        this.#charset = final
        return false
      })
    parser.registerOscHandler(7, (url) => {
      this.cwd = pathOf(url)
      return true
    })
    // Links would be kept with every cell, of any length.
    parser.registerOscHandler(8, () => true)
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
  return { columns: width, rows: Math.min(Math.max(rows, 1), Math.floor(MAX_CELLS / width)) }
}

function scrollbackOf({ columns, rows }: TerminalSize): number {
  return Math.max(0, Math.min(SCROLLBACK, Math.floor(MAX_CELLS / columns) - rows))
}

/** Of `file://host/path`; empty for anything else. */
function pathOf(url: string): string {
  const path = /^file:\/\/[^/]*(\/.*)$/.exec(url)?.[1] ?? ''
  try {
    return decodeURIComponent(path).slice(0, MAX_TEXT)
  } catch {
    return ''
  }
}
