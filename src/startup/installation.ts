import { lstat, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Log } from '../log.ts'

/** Write permission of the group and of others. */
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

/**
 * Warns, in one line, if the daemon runs as root from files that another user may change, which would make that user
 * root: a file below `directory`, or a directory on the way to it. Never rejects.
 * @param directory absolute; the daemon's own, with its program in it.
 */
export async function checkInstallation(directory: string, log: Log): Promise<void> {
  if (process.geteuid?.() !== 0) return
  const open = await openPaths(directory, [0])
  const [first] = open
  if (first === undefined) return
  log.warn({ path: first, count: open.length }, 'the daemon runs as root from files that another user may change')
}

/**
 * What others than these users may change of all below a directory and of the directories on the way to it. Never
 * rejects.
 * @param directory absolute.
 * @param owners user ids.
 */
export async function openPaths(directory: string, owners: readonly number[]): Promise<readonly string[]> {
  const open: string[] = []
  for (const path of [...parentsOf(directory), ...(await filesBelow(directory))]) {
    if (await isOpen(path, owners)) open.push(path)
  }
  return open
}

/** A directory in which only the owner of an entry can replace it (sticky, as /tmp) is safe for what root owns. */
async function isOpen(path: string, owners: readonly number[]): Promise<boolean> {
  const status = await lstat(path).catch(() => undefined)
  if (status === undefined || status.isSymbolicLink()) return false
  if (status.isDirectory() && (status.mode & STICKY) !== 0) return false
  const byGroup = (status.mode & OTHERS_WRITE) === 0o020 && status.gid === 0
  return !owners.includes(status.uid) || ((status.mode & OTHERS_WRITE) !== 0 && !byGroup)
}

function parentsOf(directory: string): string[] {
  const parent = dirname(directory)
  return parent === directory ? [] : [...parentsOf(parent), parent]
}

async function filesBelow(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true }).catch(() => [])
  return [directory, ...names.map((name) => join(directory, name))]
}
