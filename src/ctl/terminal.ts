import { execFileSync } from 'node:child_process'

/** The size of the terminal at standard output. */
export function windowSize(): { readonly columns: number; readonly rows: number } {
  return { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 }
}

/**
 * Hands every key of the terminal at standard input on as it is, and calls `onResize` for each change of size of
 * that at standard output. The caller calls the function returned to have the terminal as it was.
 */
export function takeTerminal(onResize: () => void): () => void {
  const before = process.stdin.isTTY ? settings('-g')?.trim() : undefined
  const restore = () => {
    if (before !== undefined) settings(before)
  }
  // Not setRawMode, which leaves output to be processed: a line feed of the program would return the cursor as well.
  if (before !== undefined) settings('raw', '-echo')
  process.on('exit', restore)
  process.stdout.on('resize', onResize)
  return () => {
    process.off('exit', restore)
    process.stdout.off('resize', onResize)
    restore()
  }
}

/** stty(1) for the terminal at standard input; undefined: it failed. */
function settings(...words: string[]): string | undefined {
  try {
    return execFileSync('stty', words, { encoding: 'utf8', stdio: ['inherit', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}
