import type { Cgroups } from '../cgroups/cgroups.ts'
import type { CommandGroup } from '../cgroups/properties.ts'
import { type Spawned, SpawnFailure, type SpawnSpec, spawn } from '../native/index.ts'

/** The cgroups that commands are started in. */
export type CommandGroups = Pick<
  Cgroups,
  'descriptor' | 'recreate' | 'makeLimited' | 'takeLimited' | 'removeLeft' | 'warnOutside'
>

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
