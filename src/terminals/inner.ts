import type { Terminal } from '@xterm/headless'
import type { Look } from './cells.ts'

/** What a snapshot needs of the emulator and is not in its typed face: undocumented, and the same since version 4. */
interface Inner {
  readonly buffers: { readonly normal: InnerBuffer; readonly alt: InnerBuffer }
  readonly _inputHandler: InputHandler
  readonly _charsetService: CharsetService
  /** The links (OSC 8) of the lines that are kept. */
  readonly _oscLinkService: { getLinkData(id: number): LinkData | undefined }
  /** Draws before it returns, which `write` does in a timer. */
  writeSync(text: string): void
}

interface InputHandler {
  readonly _curAttrData: Look
  /** Of the character that was printed last, which marks combine with; 0: something else came after it. */
  readonly _parser: { readonly precedingJoinState: number }
  /** OSC 8. */
  setHyperlink(data: string): boolean
  // IL, DL, SU, SD, CHT, CBT and REP.
  insertLines(params: Counted): boolean
  deleteLines(params: Counted): boolean
  scrollUp(params: Counted): boolean
  scrollDown(params: Counted): boolean
  cursorForwardTab(params: Counted): boolean
  cursorBackwardTab(params: Counted): boolean
  repeatPrecedingCharacter(params: Counted): boolean
}

/** The parameters of a control sequence that has one. */
export interface Counted {
  readonly params: readonly [count: number]
  readonly length: 1
}

/** One of the two screens. */
export interface InnerBuffer {
  readonly scrollTop: number
  readonly scrollBottom: number
  /** What DECSC has saved. */
  readonly savedX: number
  readonly savedY: number
  readonly savedCurAttrData: Look
  readonly savedCharset: object | undefined
  readonly ybase: number
  readonly markers: readonly unknown[]
  /** Columns with a tab stop. */
  readonly tabs: Readonly<Record<number, boolean | undefined>>
}

/** The character sets that are designated; undefined: ASCII. */
export interface CharsetService {
  readonly glevel: number
  /** The one in use: that of `glevel`, or what a restored cursor has brought. */
  readonly charset: Readonly<Record<string, string>> | undefined
  readonly _charsets: readonly (object | undefined)[]
}

/** A link, with the id that it was given. */
export interface LinkData {
  readonly id?: string
  readonly uri: string
}

/** The inner face of an emulator. */
export function innerOf(terminal: Terminal): Inner {
  return (terminal as unknown as { readonly _core: Inner })._core
}
