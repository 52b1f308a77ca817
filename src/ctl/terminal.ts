import { execFileSync } from 'node:child_process'
import type { Sandbox } from './sandbox.ts'

/** The size of the terminal at standard output, as messages have it. */
export function terminalSize(): { readonly cols: number; readonly rows: number } {
  return { cols: process.stdout.columns || 80, rows: process.stdout.rows || 24 }
}

/**
 * Sends every key and every new size of the terminal to the process. Returns the function that ends this and restores
 * the terminal.
 */
export function takeTerminal(sandbox: Sandbox, pid: number): () => void {
  const resize = () => {
    // The next one corrects it.
    sandbox.call('process.Process/Update', { process: { pid }, pty: { size: terminalSize() } }).catch(() => {})
  }
  const before = process.stdin.isTTY ? settings('-g')?.trim() : undefined
  const restore = () => {
    if (before !== undefined) settings(before)
  }
  // Not setRawMode, which leaves output to be processed: a line feed of the program would return the cursor as well.
  if (before !== undefined) settings('raw', '-echo')
  process.on('exit', restore)
  process.stdout.on('resize', resize)
  resize()
  return () => {
    process.off('exit', restore)
    process.stdout.off('resize', resize)
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
