import { execFile } from 'node:child_process'
import { chown, mkdir } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Person } from './person.ts'

/** Makes an empty home. */
export async function makeHome(home: string, person: Person): Promise<void> {
  await mkdir(home, { mode: 0o755 })
  if (process.getuid?.() === 0) await chown(home, person.uid, person.gid)
}

/** Copies a home with owners, modes, times and links, by reference where the disk can. `to` must not be there. */
export async function copyHome(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['--archive', '--reflink=auto', '--no-target-directory', '--', from, to])
}
