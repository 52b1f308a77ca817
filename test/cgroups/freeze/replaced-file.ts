import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'

/**
 * Lays a read-only file with that text over a file of a cgroup, as a machine in trouble would have it; disposing takes
 * it away.
 */
export function replaceFile(file: string, text: string): Disposable {
  const stand = `${mkdtempSync('/tmp/stand-in-')}/file`
  writeFileSync(stand, text)
  execFileSync('mount', ['--bind', stand, file])
  execFileSync('mount', ['-o', 'remount,bind,ro', file])
  // Lazily: a process that tries again and again may have it open.
  return { [Symbol.dispose]: () => void execFileSync('umount', ['--lazy', file]) }
}
