import { type Spawned, SpawnFailure, type SpawnSpec, spawn } from '../native/index.ts'
import type { CommandGroup } from './command-group.ts'
import type { GroupLimits } from './limits.ts'

/** What all processes of a cgroup of one command's own have taken so far; undefined: its kernel does not report it. */
export interface GroupUsage {
  readonly cpuSeconds: number | undefined
  /** Bytes now. */
  readonly memory: number | undefined
  /** Peak memory in bytes. */
  readonly peakMemory: number | undefined
  /** Processes that the kernel has killed for lack of memory, here or above. */
  readonly oomKills: number
  /** Times that the memory of this cgroup itself was spent. */
  readonly memoryHits: number
  /** Forks that were refused for its number of processes. */
  readonly pidsHits: number
}

/** The cgroup of one command (`cgroups/limited-group.ts`). */
export interface OwnGroup {
  /** The name by which the next daemon finds it (`CommandGroups.takeLimited`). */
  readonly name: string
  /** Never rejects. */
  usage(): Promise<GroupUsage>
  /** Removes it when its last process has ended, whenever that is. Never throws. */
  removeOnceEmpty(): void
}

/** One that was just made. */
export interface MadeGroup extends OwnGroup {
  /** Descriptor of its directory, open until `close`. */
  readonly descriptor: number
  close(): Promise<void>
}

/** The cgroups that commands are started in (`cgroups`). */
export interface CommandGroups {
  /**
   * A descriptor of the cgroup's directory, good until control returns to the event loop; undefined: start outside of
   * it.
   */
  descriptor(group: CommandGroup): number | undefined
  /**
   * After a start that the cgroup refused: recreates it where possible, and returns whether to try again. Never
   * rejects.
   */
  recreate(group: CommandGroup, errno: string): Promise<boolean>
  /**
   * Makes a cgroup with limits below that one. Rejects with AppError `failed_precondition` that says what is missing.
   */
  makeLimited(group: CommandGroup, limits: GroupLimits): Promise<MadeGroup>
  /** The one of that name that an earlier daemon has made below `group`, once; undefined: it is gone. */
  takeLimited(group: CommandGroup, name: string): OwnGroup | undefined
  /** Removes the others that earlier daemons have made, each once it is empty. */
  removeLeft(): void
  /** Logs that a command is started outside of its cgroup. */
  warnOutside(group: CommandGroup, errno: string): void
}

/**
 * `spawn` in a cgroup. A cgroup that refuses the command never fails it: the cgroup is recreated once, and then the
 * command starts in the daemon's own, out of reach of freezes and limits.
 * @param group undefined: the daemon's own.
 * @param inner descriptor of a cgroup below `group` that is tried first.
 */
export async function spawnInGroup(
  spec: SpawnSpec,
  group: CommandGroup | undefined,
  groups: CommandGroups,
  inner?: number,
): Promise<Spawned> {
  if (inner !== undefined) {
    try {
      return await spawn({ ...spec, cgroup: inner })
    } catch (error) {
      if (!(error instanceof SpawnFailure) || error.stage !== 'cgroup') throw error
    }
  }
  for (let recreated = false; ; recreated = true) {
    const cgroup = group === undefined ? undefined : groups.descriptor(group)
    if (group === undefined || cgroup === undefined) return spawn(spec)
    try {
      return await spawn({ ...spec, cgroup })
    } catch (error) {
      if (!(error instanceof SpawnFailure) || error.stage !== 'cgroup') throw error
      if (!recreated && (await groups.recreate(group, error.code))) continue
      groups.warnOutside(group, error.code)
      return spawn(spec)
    }
  }
}
