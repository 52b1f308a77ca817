import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../errors.ts'
import type { Log } from '../log.ts'

/**
 * Makes the run directory, 0755, and in it `.E2B_SANDBOX`, 0444: `true` in a microVM, else `false` (contract A10, A11).
 * Programs in the sandbox read it; the daemon works without, so a failure is only logged (contract A9).
 */
export async function writeRunDir({
  dir,
  notFirecracker,
  log,
}: {
  readonly dir: string
  readonly notFirecracker: boolean
  readonly log: Log
}): Promise<void> {
  const file = join(dir, '.E2B_SANDBOX')
  try {
    await mkdir(dir, { recursive: true })
    await chmod(dir, 0o755)
    // A new file each time: only root can write into a read-only one.
    await rm(file, { force: true })
    await writeFile(file, String(!notFirecracker), { flag: 'wx' })
    await chmod(file, 0o444)
  } catch (error) {
    log.error({ dir, errno: errnoOf(error) }, 'the run directory could not be written')
  }
}
