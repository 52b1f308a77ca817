import * as fs from 'node:fs'
import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { errnoOf } from '../../errors.ts'

// By descriptor: a FileHandle each costs the event loop twice the time, and there may be thousands.
const open = promisify(fs.open)
const read = promisify(fs.read)
const write = promisify(fs.write)
const close = promisify(fs.close)
const stat = promisify(fs.stat)

/** How many files of cgroups are in work at once; more than this leaves too few threads for everything else. */
export const GROUP_LANES = 4

/** Whether a cgroup was removed, before or while one of its files was used. */
export function isGone(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENODEV'
}

/** Whether a cgroup's own `cgroup.freeze` is 1. Rejects with the errno. */
export async function isSetToFreeze(directory: string): Promise<boolean> {
  return (await readText(join(directory, 'cgroup.freeze'))).startsWith('1')
}

/** Writes `cgroup.freeze`; the kernel answers before every process has stopped. Rejects with the errno. */
export async function setFreeze(directory: string, frozen: boolean): Promise<void> {
  // Without O_CREAT, which turns ENOENT into EACCES here.
  await withFile(join(directory, 'cgroup.freeze'), 'r+', (fd) => write(fd, frozen ? '1' : '0'))
}

/** `cgroup.events`: every process has stopped; there are processes. Both cover descendants as well. */
interface GroupEvents {
  readonly frozen: boolean
  readonly populated: boolean
}

/** Reads `cgroup.events` (cgroups(7)). Rejects with the errno. */
export async function readEvents(directory: string): Promise<GroupEvents> {
  return parseEvents(await readText(join(directory, 'cgroup.events')))
}

/** Takes the text of `cgroup.events`; what it does not name is false. */
export function parseEvents(text: string): GroupEvents {
  return { frozen: /^frozen 1$/m.test(text), populated: /^populated 1$/m.test(text) }
}

/**
 * Entries of a directory that are read at once: thousands at once would block the event loop for too long.
 */
const ENTRIES_AT_ONCE = 256

/** The names of the cgroups directly below one, sorted; none if it is gone. Rejects with the errno. */
export async function childGroups(directory: string): Promise<string[]> {
  try {
    // A directory with none in it has two links; most cgroups are such.
    if ((await stat(directory)).nlink === 2) return []
    const names: string[] = []
    for await (const entry of await opendir(directory, { bufferSize: ENTRIES_AT_ONCE }))
      if (entry.isDirectory()) names.push(entry.name)
    return names.sort()
  } catch (error) {
    if (isGone(error)) return []
    throw error
  }
}

/** Files of cgroups that are read here are shorter. */
const ROOM = 256

async function readText(path: string): Promise<string> {
  const buffer = Buffer.allocUnsafe(ROOM)
  return withFile(path, 'r', async (fd) => {
    const { bytesRead } = await read(fd, buffer, 0, ROOM, 0)
    return buffer.toString('latin1', 0, bytesRead)
  })
}

async function withFile<T>(path: string, flags: string, work: (fd: number) => Promise<T>): Promise<T> {
  const fd = await open(path, flags)
  try {
    return await work(fd)
  } finally {
    await close(fd)
  }
}
