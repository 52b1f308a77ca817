/** The longest text of a cell. */
const MAX_CELL = 100

/** Two spaces between columns, each as wide as its longest cell; the last one is not filled. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows.map((row) => row.map(printable))]
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return cells.map((row) => `${line(row).trimEnd()}\n`).join('')
}

/** A text of the sandbox as it is, but for a terminal, which nothing of it may command; tabs and line feeds stay. */
export function harmless(text: string): string {
  return process.stdout.isTTY ? text.replace(/(?![\t\n])[\p{Cc}\p{Cf}]/gu, '?') : text
}

/** Names and arguments come from the sandbox: nothing of them may command this terminal. */
export function printable(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
  return plain.length > MAX_CELL ? `${plain.slice(0, MAX_CELL - 1)}…` : plain
}

/** Bytes as people read them: `1.5 GiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`
}
