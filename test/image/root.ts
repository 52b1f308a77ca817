import { execFile } from 'node:child_process'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const project = fileURLToPath(new URL('../..', import.meta.url))
const architecture = process.arch

/** The directory that `npm run bundle` makes. */
export const bundle = join(project, `dist/envd-linux-${architecture}`)

/** The base that `scripts/test-image` makes with debootstrap. */
export const debian = join(project, '.cache/image/debian')

/** Where a root has the bundle. */
export const INSTALLED = '/opt/envd'

/** A new, empty directory to be a root. */
export function emptyRoot(): Promise<string> {
  return mkdtemp('/tmp/root-')
}

/**
 * Gives a root /proc, /dev and the bundle, which cannot be written to from in there. The mounts end with the namespace of the
 * tests.
 */
export async function equip(root: string): Promise<void> {
  const at = (path: string) => join(root, path)
  for (const path of ['/proc', '/dev', INSTALLED]) await mkdir(at(path), { recursive: true })
  await run('mount', ['-t', 'proc', 'proc', at('/proc')])
  await run('mount', ['--rbind', '/dev', at('/dev')])
  await run('mount', ['--bind', bundle, at(INSTALLED)])
  await run('mount', ['-o', 'remount,bind,ro', at(INSTALLED)])
}

/** The words that start the bundled daemon in a root. */
export function launchIn(root: string): [string, ...string[]] {
  return ['chroot', root, `${INSTALLED}/envd`]
}
