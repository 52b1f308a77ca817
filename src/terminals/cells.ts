import type { IBuffer, IBufferCell, IBufferLine } from '@xterm/headless'

/** What a cell looks like, also the next one that is printed; the flags as the emulator packs them. */
export type Look = Packed &
  Pick<
    IBufferCell,
    | 'isBold'
    | 'isDim'
    | 'isItalic'
    | 'isBlink'
    | 'isInverse'
    | 'isInvisible'
    | 'isStrikethrough'
    | 'isOverline'
    | 'isFgRGB'
    | 'isFgPalette'
    | 'getFgColor'
    | 'getFgColorMode'
    | 'isBgRGB'
    | 'isBgPalette'
    | 'getBgColor'
    | 'getBgColorMode'
  >

/** Both colors with all flags, as the emulator keeps them; not in its typed face. */
interface Packed {
  readonly fg: number
  readonly bg: number
  /** Style and color of the underline, and the link; of a cell only with `HAS_EXTENDED`. */
  readonly extended: { readonly _ext: number; readonly urlId: number }
}

/** Flags of `fg`, of `bg`, and parts of `_ext`. */
const UNDERLINE = 0x10000000
const HAS_EXTENDED = 0x10000000
const STYLE_SHIFT = 26
const STYLE = 7
const COLOR = 0x3ffffff

/** The sequence that makes what is printed look like that (ECMA-48 8.3.117, SGR), but for its link. */
export function sgr(look: Look, extension = extensionOf(look)): string {
  const flags = [
    [look.isBold(), '1'],
    [look.isDim(), '2'],
    [look.isItalic(), '3'],
    [look.isBlink(), '5'],
    [look.isInverse(), '7'],
    [look.isInvisible(), '8'],
    [look.isStrikethrough(), '9'],
    [look.isOverline(), '53'],
  ] as const
  const codes: string[] = flags.flatMap(([on, code]) => (on ? [code] : []))
  if (look.isFgRGB()) codes.push(`38;2;${rgb(look.getFgColor())}`)
  if (look.isFgPalette()) codes.push(palette(look.getFgColor(), look.getFgColorMode(), 30))
  if (look.isBgRGB()) codes.push(`48;2;${rgb(look.getBgColor())}`)
  if (look.isBgPalette()) codes.push(palette(look.getBgColor(), look.getBgColorMode(), 40))
  return `\u001b[${['0', ...codes, ...underline(look.fg, extension)].join(';')}m`
}

/** The same of what is printed next: a color of the underline waits for its style. */
export function nextSgr(look: Look): string {
  return sgr(look, (look.fg & UNDERLINE) === 0 ? look.extended._ext : extensionOf(look))
}

/** It has a link, or a line below it. */
export function isExtended({ bg }: Look): boolean {
  return (bg & HAS_EXTENDED) !== 0
}

/** Style and color of the underline of a cell; 0: it has none. */
function extensionOf({ bg, extended }: Packed): number {
  return (bg & HAS_EXTENDED) === 0 ? 0 : extended._ext
}

/** Codes of styles and colors, as of kitty and VTE. */
function underline(fg: number, extension: number): string[] {
  const style = (extension >>> STYLE_SHIFT) & STYLE
  const line = (fg & UNDERLINE) === 0 ? [] : [style > 1 ? `4:${style}` : '4']
  const color = extension & COLOR
  // As the emulator has it after SGR 59.
  if (color === 0 || color === COLOR) return line
  return [...line, color >>> 24 === 3 ? `58:2::${rgb(color).replaceAll(';', ':')}` : `58:5:${color & 255}`]
}

/**
 * The mode of the sixteen colors that have codes of their own, which are not the same as those of the palette: bold
 * makes them bright.
 */
const SIXTEEN = 0x1000000

/** @param base code of the first of the sixteen. */
function palette(color: number, mode: number, base: number): string {
  if (mode !== SIXTEEN) return `${base + 8};5;${color}`
  return String(color < 8 ? base + color : base + 60 + color - 8)
}

function rgb(color: number): string {
  return [(color >> 16) & 255, (color >> 8) & 255, color & 255].join(';')
}

/** What cells are compared by. */
interface Shown {
  readonly fg: number
  readonly bg: number
  readonly extension: number
  readonly link: number
}

const PLAIN: Shown = { fg: 0, bg: 0, extension: 0, link: 0 }

const isPlain = ({ fg, bg }: Pick<Shown, 'fg' | 'bg'>) => fg === 0 && bg === 0

/**
 * Lines of a buffer as an empty terminal draws them from the first column of an empty line on, each with its end but
 * that before `last`. It ends with the plain look.
 */
export function linesText(buffer: IBuffer, { columns, links, start, end, last }: LinesForm): string {
  const cell = buffer.getNullCell()
  let text = ''
  for (let row = start; row < end; row++) {
    const line = buffer.getLine(row)
    if (line === undefined) break
    text += lineText(line, { columns, links }, cell)
    if (row + 1 < last) text += wrapsInto(line, buffer.getLine(row + 1), columns) ? '' : '\r\n'
  }
  return text
}

interface LinesForm {
  readonly columns: number
  readonly links: LinkText
  readonly start: number
  readonly end: number
  /** Behind the last of all lines. */
  readonly last: number
}

/** What begins the link of that number, or for 0 ends it. */
interface LinkText {
  text(id: number): string
}

/** One line, which ends with the plain look. */
function lineText(
  line: IBufferLine,
  { columns, links }: { readonly columns: number; readonly links: LinkText },
  cell: IBufferCell,
): string {
  let text = ''
  let skipped = 0
  let last = PLAIN
  let half = -1
  for (let column = 0; column < columns; column++) {
    line.getCell(column, cell)
    // Halves of wide characters that lost the other one are blanks.
    if (cell.getWidth() === 0 && column === half) continue
    const wide = cell.getWidth() === 2
    const whole = !wide || line.getCell(column + 1)?.getWidth() === 0
    half = wide && whole ? column + 1 : -1
    // The emulator's cells are packed.
    const look = cell as IBufferCell & Look
    const chars = whole ? cell.getChars() : ''
    if (chars === '' && isPlain(look)) {
      skipped++
      continue
    }
    if (skipped > 0) text += `\u001b[${skipped}C`
    skipped = 0
    const shown = shownOf(look)
    if (!sameColors(shown, last)) text += sgr(look)
    if (shown.link !== last.link) text += links.text(shown.link)
    last = shown
    text += chars === '' ? ' ' : chars
  }
  if (last.link !== 0) text += links.text(0)
  return isPlain(last) ? text : `${text}\u001b[0m`
}

function shownOf(look: Look): Shown {
  return { fg: look.fg, bg: look.bg, extension: extensionOf(look), link: linkOf(look) }
}

/**
 * The first character of the next line makes this one wrap, in a terminal that draws both: lines are joined when its
 * width changes.
 */
function wrapsInto(line: IBufferLine, next: IBufferLine | undefined, columns: number): boolean {
  if (next?.isWrapped !== true || (line.getCell(columns - 1)?.getChars() ?? '') === '') return false
  const first = next.getCell(0)
  return first !== undefined && first.getChars() !== '' && first.getWidth() === 1 && first.isBgDefault()
}

/** How a cell is printed again. */
interface Reprint {
  readonly columns: number
  /** The row from which the terminal counts rows. */
  readonly top: number
  /** The terminal is in insert mode. */
  readonly insert: boolean
}

/** The cell that is left of the cursor. */
interface LastCell {
  readonly look: Look
  /** Empty: it was erased, or is half of a wide character that lost the other one. */
  readonly chars: string
  /** Moves to its place, and makes room for it. */
  readonly place: string
}

/**
 * The cell left of the cursor; printed again at its place it brings the cursor back. Undefined: the cursor is in
 * the first column.
 */
export function lastCell(active: IBuffer, { columns, top, insert }: Reprint): LastCell | undefined {
  const line = active.getLine(active.baseY + active.cursorY)
  const right = Math.min(active.cursorX, columns) - 1
  const column = line?.getCell(right)?.getWidth() === 0 ? right - 1 : right
  const cell = line?.getCell(column)
  if (cell === undefined) return undefined
  const room = insert ? `\u001b[${right - column + 1}P` : ''
  const place = `\u001b[${active.cursorY - top + 1};${column + 1}H${room}`
  const whole = cell.getWidth() !== 2 || line?.getCell(column + 1)?.getWidth() === 0
  // The emulator's cells are packed.
  return { look: cell as IBufferCell & Look, chars: whole ? cell.getChars() : '', place }
}

/** Whether they look the same, link included. */
export function sameLook(one: Look, other: Look): boolean {
  return sameColors(shownOf(one), shownOf(other)) && linkOf(one) === linkOf(other)
}

function sameColors(one: Shown, other: Shown): boolean {
  return one.fg === other.fg && one.bg === other.bg && one.extension === other.extension
}

/** The number of the link of a cell, or of what is printed next; 0: none. */
export function linkOf({ bg, extended }: Look): number {
  return (bg & HAS_EXTENDED) === 0 ? 0 : extended.urlId
}
