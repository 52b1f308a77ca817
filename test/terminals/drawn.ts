import headless, { type Terminal } from '@xterm/headless'

/** An emulator of a client. */
export function emulator(columns: number, rows: number): Terminal {
  const options = { cols: columns, rows, scrollback: 1000, allowProposedApi: true, logLevel: 'off' } as const
  const terminal = new headless.Terminal(options)
  // This one forgets links whose cells are still there; others do not.
  ;(terminal as unknown as Inner)._core._oscLinkService._removeMarkerFromLink = () => {}
  return terminal
}

/** Draws, and resolves when it is done. */
export function draw(terminal: Terminal, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => terminal.write(text, resolve))
}

/** What is not in the typed face: style and color of the underline, and the link, of a cell. */
interface Extended {
  readonly bg: number
  readonly fg: number
  readonly extended: { readonly _ext: number; readonly urlId: number }
}

interface Inner {
  readonly _core: {
    readonly _oscLinkService: {
      getLinkData(id: number): { readonly uri: string } | undefined
      _removeMarkerFromLink: () => void
    }
  }
}

function extendedOf(terminal: Terminal, cell: object): string {
  const { fg, bg, extended } = cell as Extended
  const [has, underlined] = [(bg & 0x10000000) !== 0, (fg & 0x10000000) !== 0]
  const link = has ? ((terminal as unknown as Inner)._core._oscLinkService.getLinkData(extended.urlId)?.uri ?? '') : ''
  const style = underlined ? (has ? Math.max(1, (extended._ext >>> 26) & 7) : 1) : 0
  const packed = underlined && has ? extended._ext & 0x3ffffff : 0
  // Of the palette a byte counts.
  const color = packed >>> 24 === 3 ? packed : packed & 0x30000ff
  return style === 0 && color === 0 && link === '' ? '' : `{${style},${color},${link}}`
}

function cellsOf(terminal: Terminal, buffer: Terminal['buffer']['normal'], columns: number): string[] {
  return Array.from({ length: buffer.length }, (_, row) => {
    const line = buffer.getLine(row)
    const cells = Array.from({ length: columns }, (_, column) => {
      const cell = line?.getCell(column)
      if (cell === undefined) return '?'
      const flags = [cell.isBold(), cell.isItalic(), cell.isDim(), cell.isBlink(), cell.isInverse()]
      const more = [cell.isInvisible(), cell.isStrikethrough(), cell.isOverline()]
      const colors = [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor()]
      const look = [...[...flags, ...more].map((flag) => Number(flag !== 0)), ...colors]
      const plain = look.every((value) => value === 0 || value === -1)
      // Half of a wide character is a blank.
      const half = cell.getWidth() === 2 && line?.getCell(column + 1)?.getWidth() !== 0
      return ((half ? '' : cell.getChars()) || ' ') + (plain ? '' : `<${look.join(',')}>`) + extendedOf(terminal, cell)
    })
    return cells.join('').trimEnd()
  })
}

/** All that can be seen of a terminal, and what the output that follows depends on. */
export function drawn(terminal: Terminal) {
  const { buffer, modes, cols, rows } = terminal
  const { active, normal } = buffer
  return {
    size: [cols, rows],
    type: active.type,
    cursor: [active.cursorX, active.cursorY],
    active: cellsOf(terminal, active, cols),
    above: cellsOf(terminal, normal, cols).slice(0, normal.baseY),
    modes: { ...modes, synchronizedOutputMode: false },
  }
}
