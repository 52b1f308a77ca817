import { type FileHandle, mkdir, open, readFile, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errnoOf } from '../errors.ts'
import { childGroups, readEvents } from './freeze/group-files.ts'
import { listGroups } from './freeze/group-tree.ts'
import { writeProperty } from './make-group.ts'

/**
 * The cgroup of one run of a service, below that of commands: freezes and limits of that one hold in it as well
 * (cgroups(7)). It may be gone at any time, and then it has no members.
 */
export interface ServiceGroup {
  /** Its directory, to start a command in; the caller closes it. Rejects with the errno. */
  open(): Promise<FileHandle>
  /** The pids of all processes in it and in cgroups below. Never rejects. */
  members(): Promise<readonly number[]>
  /**
   * Kills all of them at once, also frozen ones, by `cgroup.kill` (Linux 5.14). Returns whether the kernel did; never
   * rejects.
   */
  kill(): Promise<boolean>
  /** Removes it once it is empty; one that has processes stays. Never rejects. */
  remove(): Promise<void>
}

/** Distinguishes the cgroups of services from what others make there. */
const PREFIX = 'service.'

/** A killed process leaves its cgroup a moment after its end was reported. */
const REMOVE_TRIES = 25
const REMOVE_PAUSE_MS = 20

/** Names the cgroup of that name in the directory of the cgroup of commands, whether it is there or not. */
export function serviceGroup(commands: string, name: string): ServiceGroup {
  const directory = join(commands, PREFIX + name)
  return {
    open: () => open(directory, 'r'),
    members: () => membersOf(directory),
    kill: () =>
      writeProperty(directory, ['cgroup.kill', '1']).then(
        () => true,
        () => false,
      ),
    remove: () => removeEmpty(directory),
  }
}

/** Makes the cgroup. Rejects with the errno of mkdir(2). */
export async function makeServiceGroup(commands: string, name: string): Promise<ServiceGroup> {
  await mkdir(join(commands, PREFIX + name))
  return serviceGroup(commands, name)
}

/** Removes the cgroups of services that have ended. Never rejects. */
export async function removeEmptyServiceGroups(commands: string): Promise<void> {
  const names = await childGroups(commands).catch(() => [])
  for (const name of names) {
    if (name.startsWith(PREFIX)) await removeTree(join(commands, name)).catch(() => {})
  }
}

async function membersOf(directory: string): Promise<number[]> {
  const below = await listGroups(directory).catch(() => ({ groups: [] }))
  const texts = await Promise.all(
    ['', ...below.groups].map((group) => readFile(join(directory, group, 'cgroup.procs'), 'latin1').catch(() => '')),
  )
  // 0 stands for a process of another pid namespace.
  return texts.flatMap((text) => text.split('\n').map(Number)).filter((pid) => pid > 0)
}

/** Removes a cgroup, with those below it; one that has processes stays. Never rejects. */
export async function removeEmpty(directory: string): Promise<void> {
  for (let tries = 0; tries < REMOVE_TRIES; tries++) {
    try {
      return await removeTree(directory)
    } catch (error) {
      if (errnoOf(error) !== 'EBUSY') return
      const { populated } = await readEvents(directory).catch(() => ({ populated: false }))
      if (populated && (await membersOf(directory)).length > 0) return
      await delay(REMOVE_PAUSE_MS, undefined, { ref: false })
    }
  }
}

/** Rejects with the errno of rmdir(2); processes of a service may have made cgroups of their own. */
async function removeTree(directory: string): Promise<void> {
  const { groups } = await listGroups(directory)
  for (const group of groups.toReversed()) await rmdir(join(directory, group))
  await rmdir(directory)
}
