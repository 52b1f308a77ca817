import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'

/** How many files of cgroups are in work at once; more than this leaves too few threads for everything else. */
export const GROUP_LANES = 4

/** Whether a cgroup was removed, before or while one of its files was used. */
export function isGone(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENODEV'
}

/** Whether a cgroup's own `cgroup.freeze` is 1. Rejects with the errno. */
export async function isSetToFreeze(directory: string): Promise<boolean> {
  return (await readFile(join(directory, 'cgroup.freeze'), 'latin1')).startsWith('1')
}

/** Writes `cgroup.freeze`; the kernel answers before every process has stopped. Rejects with the errno. */
export async function setFreeze(directory: string, frozen: boolean): Promise<void> {
  // Without O_CREAT, which turns ENOENT into EACCES here.
  await writeFile(join(directory, 'cgroup.freeze'), frozen ? '1' : '0', { flag: 'r+' })
}

/** `cgroup.events`: every process has stopped; there are processes. Both tell of descendants as well. */
export interface GroupEvents {
  readonly frozen: boolean
  readonly populated: boolean
}

/** Reads `cgroup.events` (cgroups(7)). Rejects with the errno. */
export async function readEvents(directory: string): Promise<GroupEvents> {
  return parseEvents(await readFile(join(directory, 'cgroup.events'), 'latin1'))
}

/** Takes the text of `cgroup.events`; what it does not tell is false. */
export function parseEvents(text: string): GroupEvents {
  return { frozen: /^frozen 1$/m.test(text), populated: /^populated 1$/m.test(text) }
}

/** The names of the cgroups directly below one, sorted; none if it is gone. Rejects with the errno. */
export async function childGroups(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}
