import { lstat, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { openPaths } from '../startup/installation.ts'

/** The program of a bundle, in its directory. */
const PROGRAM = 'envd'

/**
 * The program of the bundle in a directory. Rejects with AppError `failed_precondition` when there is none, when
 * a user other than root and the daemon's own may change it, anything beside it, or a directory on the way, and
 * when a link leads out of it.
 * @param directory absolute.
 */
export async function bundleIn(directory: string): Promise<string> {
  const real = await realpath(directory).catch(() => directory)
  const program = join(real, PROGRAM)
  const status = await lstat(program).catch(() => undefined)
  if (!status?.isFile() || (status.mode & 0o100) === 0) throw refused(`${directory} is no bundle: it has no program`)
  const [open] = await openPaths(real, [0, process.geteuid?.() ?? 0])
  if (open !== undefined) throw refused(`${open} may be changed by another user`)
  const entries = await readdir(real, { recursive: true, withFileTypes: true })
  const link = entries.find((entry) => entry.isSymbolicLink())
  if (link !== undefined) throw refused(`${join(link.parentPath, link.name)} is a symbolic link`)
  return program
}

function refused(problem: string): AppError {
  return new AppError('failed_precondition', problem)
}
