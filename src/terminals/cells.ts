import type { IBuffer, IBufferCell, IBufferLine } from '@xterm/headless'

/** What a cell looks like, also the next one that is printed. */
export type Look = Pick<
  IBufferCell,
  | 'isBold'
  | 'isDim'
  | 'isItalic'
  | 'isUnderline'
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
}

/** The sequence that makes what is printed look like that (ECMA-48 8.3.117, SGR). */
export function sgr(look: Look): string {
  const flags = [
    [look.isBold(), '1'],
    [look.isDim(), '2'],
    [look.isItalic(), '3'],
    [look.isUnderline(), '4'],
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
  return `\u001b[${['0', ...codes].join(';')}m`
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

const isPlain = ({ fg, bg }: Packed) => fg === 0 && bg === 0

/**
 * Lines of a buffer as an empty terminal draws them from the first column of an empty line on, without the end of the
 * last one. It ends with the plain look.
 */
export function linesText(buffer: IBuffer, columns: number, { start, end }: { start: number; end: number }): string {
  const cell = buffer.getNullCell()
  let text = ''
  for (let row = start; row < end; row++) {
    const line = buffer.getLine(row)
    if (line === undefined) break
    text += lineText(line, columns, cell)
    if (row + 1 < end) text += wrapsInto(line, buffer.getLine(row + 1), columns) ? '' : '\r\n'
  }
  return text
}

/** One line, which ends with the plain look. */
function lineText(line: IBufferLine, columns: number, cell: IBufferCell): string {
  let text = ''
  let skipped = 0
  let look: Packed = { fg: 0, bg: 0 }
  for (let column = 0; column < columns; column++) {
    line.getCell(column, cell)
    // The second half of a wide character.
    if (cell.getWidth() === 0) continue
    // The emulator's cells are packed.
    const { fg, bg } = cell as unknown as Packed
    const chars = cell.getChars()
    if (chars === '' && isPlain({ fg, bg })) {
      skipped++
      continue
    }
    if (skipped > 0) text += `\u001b[${skipped}C`
    skipped = 0
    if (fg !== look.fg || bg !== look.bg) text += sgr(cell)
    look = { fg, bg }
    text += chars === '' ? ' ' : chars
  }
  return isPlain(look) ? text : `${text}\u001b[0m`
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

/** The cell that is left of a cursor behind the last column: printed again, it brings the cursor back there. */
export function lastCellText(buffer: IBuffer, columns: number): string {
  const row = buffer.baseY + buffer.cursorY
  const line = buffer.getLine(row)
  const last = line?.getCell(columns - 1)
  if (line === undefined || last === undefined) return ''
  const wide = last.getWidth() === 0
  const cell = wide ? (line.getCell(columns - 2) ?? last) : last
  const column = wide ? columns - 1 : columns
  return `\u001b[${buffer.cursorY + 1};${column}H${sgr(cell)}${cell.getChars() || ' '}`
}
