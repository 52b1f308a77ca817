import { join } from 'node:path'
import { COMMAND_GROUPS, type CommandGroup } from '../properties.ts'
import { childGroups } from './group-files.ts'
import { chainOf, childOf } from './group-tree.ts'

/**
 * Groups that go on while everything else stops, with all below them (contract H4): the service manager, the journal
 * (its clients would block), what keeps network volumes alive, and the daemon's own forwards.
 */
const ALLOWED: ReadonlySet<string> = new Set([
  'init.scope',
  'system.slice/systemd-journald.service',
  'system.slice/rpcbind.service',
  'system.slice/rpcbind.socket',
  'system.slice/rpc-statd.service',
  'socats',
])

/** What is above an allowed group: never frozen itself, but its other children are. */
const ABOVE_ALLOWED: readonly string[] = [...new Set([...ALLOWED].flatMap((path) => chainOf(path).slice(0, -1)))]

/** What a hierarchy freeze does with a cgroup that it meets. */
type Duty = 'freeze' | 'allowed' | 'preserve' | 'pass'

/** A cgroup and its duty. */
export interface Planned {
  readonly group: string
  readonly duty: Duty
}

/** What decides which cgroups of a hierarchy are frozen. */
export interface Rules {
  readonly root: string
  /** From the root to the daemon's own cgroup (`ownChain`). */
  readonly chain: ReadonlySet<string>
  /** Frozen by the guest before any freeze of ours. */
  readonly guestFrozen: ReadonlySet<string>
  /** Cgroups to look at, at most. */
  readonly limit: number
}

/** What a hierarchy freeze meets besides the groups of commands; `truncated`: the limit ended it early. */
export interface Plan {
  readonly planned: readonly Planned[]
  readonly truncated: boolean
}

/**
 * Looks at the children of the root, of everything above the daemon and of everything above an allowed group (contract
 * H4), and nowhere below a cgroup that is to be frozen. Rejects with the errno.
 */
export async function planHierarchy({ root, chain, guestFrozen, limit }: Rules): Promise<Plan> {
  const own = [...chain].at(-1) ?? ''
  const parents = new Set(['', ...chainOf(own).slice(0, -1), ...ABOVE_ALLOWED])
  const planned: Planned[] = []
  const dutyOf = (group: string): Duty => {
    if (chain.has(group)) return 'pass'
    if (ALLOWED.has(group)) return 'allowed'
    if (guestFrozen.has(group)) return 'preserve'
    return parents.has(group) ? 'pass' : 'freeze'
  }
  for (const parent of parents) {
    // Nothing below a frozen group runs.
    if (chainOf(parent).some((above) => guestFrozen.has(above))) continue
    for (const name of await childGroups(join(root, parent))) {
      const group = childOf(parent, name)
      if (isWorkload(group)) continue
      if (planned.length >= limit) return { planned, truncated: true }
      planned.push({ group, duty: dutyOf(group) })
    }
  }
  return { planned, truncated: false }
}

/** Whether commands are put into that group. */
export function isWorkload(group: string): group is CommandGroup {
  return COMMAND_GROUPS.some((name) => name === group)
}
