import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'

const run = promisify(execFile)
const project = fileURLToPath(new URL('../..', import.meta.url))
const architecture = process.arch

/** The directory that `npm run bundle` makes. */
export const bundle = join(project, `dist/envd-linux-${architecture}`)

/** The base that `scripts/test-image` makes with debootstrap. */
export const debian = join(project, '.cache/image/debian')

/**
 * Why `scripts/test-image` could not make the base, the images or the root with systemd here; undefined: it made them.
 */
export function skippedReason(step: 'base' | 'build' | 'systemd'): string | undefined {
  const file = join(project, `.cache/image/${step}.skipped`)
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

/** Skips the test, with the reason, where that step was skipped. */
export function needsMade(context: TestContext, step: 'base' | 'build' | 'systemd'): void {
  const reason = skippedReason(step)
  if (reason !== undefined) context.skip(reason)
}

/** An image that `scripts/image/build` made: its root directory, and its configuration as an engine reads it. */
export interface Image {
  readonly root: string
  readonly config: {
    readonly Entrypoint: readonly string[]
    readonly Cmd: readonly string[]
    readonly ExposedPorts: object
    readonly Healthcheck: { readonly Test: readonly string[] }
  }
}

/** Reads what is known of a target of the Dockerfile. */
export function imageOf(target: 'sandbox' | 'bundle'): Image {
  const root = join(project, '.cache/image', target)
  return { root, config: JSON.parse(readFileSync(`${root}.json`, 'utf8')).Docker.config }
}

/** Where a root has the bundle. */
export const INSTALLED = '/opt/envd'

/** A new, empty directory to be a root. */
export function emptyRoot(): Promise<string> {
  return mkdtemp('/tmp/root-')
}

/**
 * Gives a root /proc, /dev and, unless it has it, the bundle, which cannot be written to from in there. The mounts end
 * with the namespace of the tests.
 */
export async function equip(root: string, has: 'nothing' | 'bundle' = 'nothing'): Promise<void> {
  const at = (path: string) => join(root, path)
  for (const path of ['/proc', '/dev', INSTALLED]) await mkdir(at(path), { recursive: true })
  await run('mount', ['-t', 'proc', 'proc', at('/proc')])
  await run('mount', ['--rbind', '/dev', at('/dev')])
  if (has === 'bundle') return
  await run('mount', ['--bind', bundle, at(INSTALLED)])
  await run('mount', ['-o', 'remount,bind,ro', at(INSTALLED)])
}

/** The words that start the bundled daemon in a root. */
export function launchIn(root: string): [string, ...string[]] {
  return ['chroot', root, `${INSTALLED}/envd`]
}
