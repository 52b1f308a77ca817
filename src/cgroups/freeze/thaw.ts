import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { COMMAND_GROUPS } from '../properties.ts'
import { GROUP_LANES, isGone, isSetToFreeze, setFreeze } from './group-files.ts'
import { listGroups, MAX_GROUPS } from './group-tree.ts'
import { isWorkload } from './plan.ts'

/** What is to be thawed. */
interface ThawOptions {
  readonly root: string
  /** From the root to the daemon's own cgroup; empty if that is unknown. */
  readonly chain: ReadonlySet<string>
  /** What the guest froze is to stay frozen. */
  readonly guestFrozen: ReadonlySet<string>
  /** A freeze of ours may have reached any cgroup. */
  readonly everywhere: boolean
  /** Cgroups to look at, at most; another one than the standard is for tests. */
  readonly limit?: number
}

/**
 * Writes 0 to the groups of commands, and, for a freeze `everywhere` or if one of them was frozen, to every other
 * cgroup whose `cgroup.freeze` is 1, but for the chain and what the guest froze (contract H7). Goes on after a failure;
 * cgroups that vanish are none. Returns the problems in words, without names: none if all went well. Never rejects.
 */
export async function thawGroups(options: ThawOptions): Promise<string[]> {
  const problems = new Map<string, number>()
  const note = (error: unknown) => {
    if (isGone(error)) return
    const errno = errnoOf(error) ?? 'EIO'
    problems.set(errno, (problems.get(errno) ?? 0) + 1)
  }
  const wasFrozen = await thawWorkload(options.root, note)
  const truncated = options.everywhere || wasFrozen ? await thawRest(options, note) : false
  const counted = [...problems].map(([errno, count]) => `${count} cgroup${count === 1 ? '' : 's'}: ${errno}`)
  return truncated ? [...counted, `there are more than ${options.limit ?? MAX_GROUPS} cgroups`] : counted
}

/** Whether one of them was frozen. */
async function thawWorkload(root: string, note: (error: unknown) => void): Promise<boolean> {
  const frozen = await Promise.all(
    COMMAND_GROUPS.map(async (group) => {
      const directory = join(root, group)
      const before = await isSetToFreeze(directory).catch(() => false)
      await setFreeze(directory, false).catch(note)
      return before
    }),
  )
  return frozen.includes(true)
}

/** Whether there were more cgroups than may be looked at. */
async function thawRest(
  { root, chain, guestFrozen, limit }: ThawOptions,
  note: (error: unknown) => void,
): Promise<boolean> {
  try {
    const { groups, truncated } = await listGroups(root, limit)
    const due = groups.filter((group) => !chain.has(group) && !guestFrozen.has(group) && !isWorkload(group))
    await forEachLimited(due, GROUP_LANES, async (group) => {
      const directory = join(root, group)
      try {
        if (await isSetToFreeze(directory)) await setFreeze(directory, false)
      } catch (error) {
        note(error)
      }
    })
    return truncated
  } catch (error) {
    note(error)
    return false
  }
}
