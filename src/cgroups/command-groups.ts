import { join } from 'node:path'
import type { Log } from '../log.ts'
import { limitMemory } from './limit-memory.ts'
import { makeGroup } from './make-group.ts'
import type { createPlaces } from './places.ts'
import { type GroupName, groupProperties } from './properties.ts'
import { type MemoryUse, reserveOf } from './reserve.ts'

/** A cgroup that was removed, as clone3(2) and mkdir(2) report it; which of them the kernel says differs. */
const GONE: readonly string[] = ['ENODEV', 'ENOENT']

interface CommandGroupsOptions {
  readonly root: string
  readonly places: Pick<ReturnType<typeof createPlaces>, 'open' | 'closed'>
  readonly log: Log
}

/** Makes the cgroups of commands, with their properties, and makes those anew that were removed. */
interface CommandGroups {
  /** Makes all of them, or takes over those that are there. Rejects with the errno of the first that cannot be made. */
  openAll(): Promise<void>
  /**
   * After a start that failed with this errno: makes the cgroup anew if it was removed, once for all who ask at a time.
   * Resolves with whether it is there again; never rejects.
   */
  remake(name: GroupName, errno: string): Promise<boolean>
  /** See `Cgroups.keepBack`. */
  limit(memory: MemoryUse): Promise<void>
}

/** For a cgroup2 below `root`. @param memory of the machine, until `limit` is called. */
export function createCommandGroups({ root, places, log }: CommandGroupsOptions, memory: MemoryUse): CommandGroups {
  // Commands of a daemon before this one are not distinguished here; `limit` does.
  let most = memory.total - reserveOf(memory.total, 0)
  const underWay = new Map<GroupName, Promise<boolean>>()
  const openGroup = async (name: GroupName): Promise<string[]> => {
    const leftOut = await makeGroup(join(root, name), groupProperties(most)[name])
    await places.open(name)
    return leftOut.map((file) => `${name}/${file}`)
  }
  const openAnew = async (name: GroupName): Promise<boolean> => {
    try {
      await openGroup(name)
      log.info({ group: name }, 'a cgroup of commands had been removed, and is there again')
      return true
    } catch {
      return false
    } finally {
      underWay.delete(name)
    }
  }
  return {
    openAll: async () => {
      const opened = await Promise.allSettled([openGroup('ptys'), openGroup('socats'), openGroup('user')])
      const failed = opened.find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      const leftOut = opened.flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
      if (leftOut.length > 0)
        log.info({ root, files: leftOut.join(' ') }, 'properties of cgroups that are not there to be set')
    },
    remake: async (name, errno) => {
      if (!GONE.includes(errno) || places.closed) return false
      const running = underWay.get(name) ?? openAnew(name)
      underWay.set(name, running)
      return running
    },
    limit: async (now) => {
      most = await limitMemory(root, now)
    },
  }
}
