import headless, { type Terminal } from '@xterm/headless'

/** An emulator of a client. */
export function emulator(columns: number, rows: number): Terminal {
  return new headless.Terminal({ cols: columns, rows, scrollback: 1000, allowProposedApi: true, logLevel: 'off' })
}

/** Draws, and resolves when it is done. */
export function draw(terminal: Terminal, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => terminal.write(text, resolve))
}

function cellsOf(buffer: Terminal['buffer']['normal'], columns: number): string[] {
  return Array.from({ length: buffer.length }, (_, row) => {
    const line = buffer.getLine(row)
    const cells = Array.from({ length: columns }, (_, column) => {
      const cell = line?.getCell(column)
      if (cell === undefined) return '?'
      const flags = [cell.isBold(), cell.isItalic(), cell.isDim(), cell.isUnderline(), cell.isBlink(), cell.isInverse()]
      const more = [cell.isInvisible(), cell.isStrikethrough(), cell.isOverline()]
      const colors = [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor()]
      const look = [...[...flags, ...more].map((flag) => Number(flag !== 0)), ...colors]
      const plain = look.every((value) => value === 0 || value === -1)
      return (cell.getChars() || ' ') + (plain ? '' : `<${look.join(',')}>`)
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
    active: cellsOf(active, cols),
    above: cellsOf(normal, cols).slice(0, normal.baseY),
    modes: { ...modes, synchronizedOutputMode: false },
  }
}
