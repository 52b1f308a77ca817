import '@xterm/xterm/css/xterm.css'
import { FitAddon } from '@xterm/addon-fit'
import { SearchAddon } from '@xterm/addon-search'
import { WebLinksAddon } from '@xterm/addon-web-links'
import { type IDisposable, Terminal } from '@xterm/xterm'
import type { Theme } from '../theme.ts'
import { COLOURS } from './colours.ts'
import { adoptStyleElements } from './style-elements.ts'

/** In characters. */
interface Size {
  readonly columns: number
  readonly rows: number
}

/** What draws one terminal. The caller disposes it. */
export interface Emulator extends Disposable {
  /** What fits into its element now; undefined while that is not shown. */
  fitting(): Size | undefined
  resize(size: Size): void
  /** Clears everything, for a screen that follows. */
  reset(): void
  /** Resolves when more may be written: at once, or when enough of what waits is drawn. */
  write(bytes: Uint8Array): Promise<void>
  /** What is typed, pasted, or sent by the mouse. */
  onInput(listener: (bytes: Uint8Array) => void): void
  /** Called for keys that are pressed in the terminal; true: the key is for the page. */
  onKey(listener: (event: KeyboardEvent) => boolean): void
  /** As if it was typed. */
  type(text: string): void
  paste(text: string): void
  selection(): string
  /** Marks the next match, or the one before; false: there is none. */
  search(text: string, backwards: boolean): boolean
  endSearch(): void
  setTheme(theme: Theme): void
  setScreenReader(on: boolean): void
  focus(): void
}

/** Bytes that may wait for being drawn; the emulator drops what exceeds 50 MB. */
const MAX_PENDING = 512 * 1024

const MATCHES = {
  matchBackground: '#7a5200',
  matchOverviewRuler: '#e3b341',
  activeMatchBackground: '#b45309',
  activeMatchColorOverviewRuler: '#f2cc60',
}

/** As the screens of the daemon keep them. */
const SCROLLBACK = 1_000

let adopted = false

/**
 * Makes the emulator in `element`, drawn by WebGL where the browser has it.
 * @param openLink takes the address of a link that was activated.
 */
export function createEmulator(element: HTMLElement, theme: Theme, openLink: (url: string) => void): Emulator {
  if (!adopted) adoptStyleElements(document)
  adopted = true
  const terminal = new Terminal({
    ...{ allowProposedApi: true, scrollback: SCROLLBACK, theme: { ...COLOURS[theme] } },
    ...{ fontFamily: fontOf(element), fontSize: 14, minimumContrastRatio: 4.5, macOptionIsMeta: true },
    linkHandler: { activate: (_event, url) => openLink(url) },
  })
  const fit = new FitAddon()
  const search = new SearchAddon()
  for (const addon of [fit, search, new WebLinksAddon((_event, url) => openLink(url))]) terminal.loadAddon(addon)
  terminal.open(element)
  void drawByWebGl(terminal)
  return { ...drawing(terminal, fit), ...input(terminal), ...finding(terminal, search), ...looks(terminal) }
}

function drawing(terminal: Terminal, fit: FitAddon) {
  let pending = 0
  let room = Promise.withResolvers<void>()
  const drawn = (length: number) => {
    pending -= length
    if (pending > MAX_PENDING) return
    room.resolve()
    room = Promise.withResolvers()
  }
  const write = async (bytes: Uint8Array) => {
    pending += bytes.length
    terminal.write(bytes, () => drawn(bytes.length))
    if (pending > MAX_PENDING) await room.promise
  }
  const fitting = () => {
    const { cols, rows } = fit.proposeDimensions() ?? { cols: Number.NaN, rows: Number.NaN }
    return cols >= 1 && rows >= 1 ? { columns: cols, rows } : undefined
  }
  return {
    ...{ fitting, write },
    resize: ({ columns, rows }: Size) => terminal.resize(columns, rows),
    reset: () => terminal.reset(),
    [Symbol.dispose]: () => terminal.dispose(),
  }
}

function input(terminal: Terminal) {
  const encoder = new TextEncoder()
  return {
    onInput: (listener: (bytes: Uint8Array) => void) => {
      terminal.onData((text) => listener(encoder.encode(text)))
      // Reports of the mouse, a byte for each character.
      terminal.onBinary((text) => listener(Uint8Array.from(text, (character) => character.charCodeAt(0))))
    },
    onKey: (listener: (event: KeyboardEvent) => boolean) =>
      terminal.attachCustomKeyEventHandler((event) => {
        if (event.type !== 'keydown' || !listener(event)) return true
        event.preventDefault()
        return false
      }),
    type: (text: string) => terminal.input(text),
    paste: (text: string) => terminal.paste(text),
    focus: () => terminal.focus(),
  }
}

function finding(terminal: Terminal, search: SearchAddon) {
  return {
    selection: () => terminal.getSelection(),
    search: (text: string, backwards: boolean) => {
      const options = { decorations: MATCHES }
      return backwards ? search.findPrevious(text, options) : search.findNext(text, options)
    },
    endSearch: () => search.clearDecorations(),
  }
}

function looks(terminal: Terminal) {
  return {
    setTheme: (theme: Theme) => {
      terminal.options.theme = { ...COLOURS[theme] }
    },
    setScreenReader: (on: boolean) => {
      terminal.options.screenReaderMode = on
    },
  }
}

/** Loaded after the rest; where it cannot be had, or is lost, the emulator draws by elements. */
async function drawByWebGl(terminal: Terminal): Promise<void> {
  try {
    const { WebglAddon } = await import('@xterm/addon-webgl')
    const addon = new WebglAddon()
    const lost: IDisposable = addon.onContextLoss(() => {
      lost.dispose()
      addon.dispose()
    })
    terminal.loadAddon(addon)
  } catch {}
}

function fontOf(element: HTMLElement): string {
  return getComputedStyle(element).getPropertyValue('--mono')
}
