/** How text looks; what is absent is as usual. */
export interface TextStyle {
  /** 0 to 15 of the palette, or a CSS colour. */
  readonly fg?: number | string
  readonly bg?: number | string
  readonly bold?: boolean
  readonly dim?: boolean
  readonly italic?: boolean
  readonly underline?: boolean
  readonly inverse?: boolean
}

/** Text of one look. */
export interface Segment {
  readonly text: string
  readonly style: TextStyle
}

/** As usual. */
export const PLAIN: TextStyle = {}

/** Escape sequences of ECMA-48: CSI, OSC up to its end, and those of two characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
const SEQUENCE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~]?)/g
/** Controls without a meaning here. Tabs stay. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g

/** Splits a line at its changes of look; other escape sequences and control characters are left out. */
export function segmentsOf(line: string, begin: TextStyle = PLAIN): Segment[] {
  const segments: Segment[] = []
  let style = begin
  let at = 0
  const add = (end: number) => {
    const text = line.slice(at, end).replace(CONTROLS, '')
    if (text !== '') segments.push({ text, style })
  }
  for (const match of line.matchAll(SEQUENCE)) {
    add(match.index)
    at = match.index + match[0].length
    if (match[2] === 'm') style = styled(style, match[1] ?? '')
  }
  add(line.length)
  return segments
}

/** The look behind a line. */
export function styleAfter(line: string, begin: TextStyle): TextStyle {
  if (!line.includes('\x1b')) return begin
  let style = begin
  for (const [, parameters = '', final] of line.matchAll(SEQUENCE)) if (final === 'm') style = styled(style, parameters)
  return style
}

/** A line without escape sequences and controls. */
export function plainText(line: string): string {
  return line.replace(SEQUENCE, '').replace(CONTROLS, '')
}

const ON: Readonly<Record<number, TextStyle>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
}
const OFF: Readonly<Record<number, readonly (keyof TextStyle)[]>> = {
  22: ['bold', 'dim'],
  23: ['italic'],
  24: ['underline'],
  27: ['inverse'],
  39: ['fg'],
  49: ['bg'],
}

/** Select Graphic Rendition (ECMA-48, 8.3.117). */
function styled(style: TextStyle, parameters: string): TextStyle {
  const codes = parameters.split(/[;:]/).map(Number)
  let result = style
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0
    if (code === 0) result = PLAIN
    else if (code === 38 || code === 48) {
      const { colour, length } = extended(codes.slice(i + 1))
      i += length
      if (colour !== undefined) result = { ...result, [code === 38 ? 'fg' : 'bg']: colour }
    } else result = simple(result, code)
  }
  return result
}

function simple(style: TextStyle, code: number): TextStyle {
  const [ten, one] = [Math.floor(code / 10), code % 10]
  if (one < 8 && (ten === 3 || ten === 9)) return { ...style, fg: one + (ten === 9 ? 8 : 0) }
  if (one < 8 && (ten === 4 || ten === 10)) return { ...style, bg: one + (ten === 10 ? 8 : 0) }
  const off = OFF[code]
  if (off === undefined) return { ...style, ...ON[code] }
  return Object.fromEntries(Object.entries(style).filter(([name]) => !off.some((key) => key === name)))
}

/** Steps of the colour cube of 256 colours. */
const CUBE = [0, 95, 135, 175, 215, 255]

function extended([kind, ...rest]: readonly number[]): { colour?: number | string; length: number } {
  if (kind === 2) return { colour: rgb(rest[0] ?? 0, rest[1] ?? 0, rest[2] ?? 0), length: 4 }
  if (kind !== 5) return { length: 0 }
  const index = rest[0] ?? 0
  if (index < 16) return { colour: index, length: 2 }
  const grey = 8 + (index - 232) * 10
  if (index >= 232) return { colour: rgb(grey, grey, grey), length: 2 }
  const of = (step: number) => CUBE[step % 6] ?? 0
  const cube = index - 16
  return { colour: rgb(of(Math.floor(cube / 36)), of(Math.floor(cube / 6)), of(cube)), length: 2 }
}

function rgb(...parts: readonly number[]): string {
  return `rgb(${parts.map((part) => Math.min(255, part)).join(' ')})`
}
