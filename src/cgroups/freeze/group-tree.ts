import { join } from 'node:path'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { childGroups, GROUP_LANES } from './group-files.ts'

/**
 * Cgroups that are looked at in one go at most (contract H4, H5, H7). That many take a second, of which the event loop
 * has half, in pieces.
 */
export const MAX_GROUPS = 8192

/**
 * The cgroups below a root, by their paths from there, parents first; `truncated`: there are more than were looked at.
 */
interface GroupTree {
  readonly groups: readonly string[]
  readonly truncated: boolean
}

/**
 * Lists all cgroups below `root`, without the root itself. Those that vanish meanwhile are left out. Rejects with the
 * errno.
 */
export async function listGroups(root: string, limit = MAX_GROUPS): Promise<GroupTree> {
  const groups: string[] = []
  let level = ['']
  while (level.length > 0) {
    const below: string[] = []
    await forEachLimited(level, GROUP_LANES, async (parent) => {
      if (groups.length + below.length > limit) return
      for (const name of await childGroups(join(root, parent))) below.push(childOf(parent, name))
    })
    for (const group of below) groups.push(group)
    if (groups.length > limit) return { groups: groups.slice(0, limit), truncated: true }
    level = below
  }
  return { groups, truncated: false }
}

/** The path of a child from the root; '' is the root. */
export function childOf(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}

/** The path itself and everything above it, down from the root: for `a/b`: '', `a`, `a/b`. */
export function chainOf(path: string): string[] {
  const parts = path === '' ? [] : path.split('/')
  return ['', ...parts.map((_, index) => parts.slice(0, index + 1).join('/'))]
}
