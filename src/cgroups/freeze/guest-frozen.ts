import { join } from 'node:path'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { GROUP_LANES, isSetToFreeze } from './group-files.ts'
import { listGroups } from './group-tree.ts'
import { isWorkload } from './plan.ts'

/** The cgroups that the guest has frozen itself, by their paths from the root. */
interface GuestFrozen {
  readonly groups: Set<string>
  /** There are more cgroups than were looked at. */
  readonly truncated: boolean
}

/**
 * Finds every cgroup whose own `cgroup.freeze` is 1 (contract H5). The groups of commands are the daemon's: whatever
 * froze them, a thaw ends it. What cannot be read counts as not frozen. Rejects with the errno if the tree cannot be
 * listed.
 */
export async function findGuestFrozen(root: string): Promise<GuestFrozen> {
  const { groups, truncated } = await listGroups(root)
  const found = new Set<string>()
  await forEachLimited(groups, GROUP_LANES, async (group) => {
    if (isWorkload(group)) return
    if (await isSetToFreeze(join(root, group)).catch(() => false)) found.add(group)
  })
  return { groups: found, truncated }
}
