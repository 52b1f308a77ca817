import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'

/** What is below a directory: names, kinds, modes, owners, times, contents, and which files are the same. */
export function listing(dir: string): string {
  const script = `cd "$1" &&
    find . -mindepth 1 -printf '%P %y %m %U:%G %s %l %n ' -a \\( -type d -printf '\\n' -o -printf '%T@\\n' \\) | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum`
  return execFileSync('sh', ['-c', script, 'sh', dir], { encoding: 'latin1', env: { ...process.env, LC_ALL: 'C' } })
}

/** Unpacks an archive into a directory, which is made. */
export function unpack(command: string, args: readonly string[], archive: Uint8Array, dir: string): void {
  mkdirSync(dir, { recursive: true })
  execFileSync(command, args, { input: archive, cwd: dir })
}

/** Programs that unpack tar archives, with their arguments. */
export const TARS = [
  ['tar', ['-xpf', '-', '--same-owner']],
  ['bsdtar', ['-xpf', '-', '--same-owner']],
] as const

/** Whether a program is installed. */
export function isThere(command: string): boolean {
  return execFileSync('sh', ['-c', `command -v ${command} || true`], { encoding: 'utf8' }) !== ''
}
