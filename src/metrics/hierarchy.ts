import { readFile } from 'node:fs/promises'
import { parseMemberships } from '../lib/cgroup-memberships.ts'
import { type Mount, parseMountinfo } from '../lib/mountinfo.ts'

/** A controller that can limit what a container gets. */
type Controller = 'memory' | 'cpu' | 'cpuacct'

/** The directories of the daemon's own cgroup and of those around it, the innermost first. */
export interface Lineage {
  /** Which of the two interfaces of cgroups(7). */
  readonly version: 1 | 2
  readonly directories: readonly string[]
}

/** Where the figures come from; other places than `MACHINE` are for tests. */
export interface Sources {
  readonly proc: string
  /** Stands in front of the mount points that mountinfo names. */
  readonly root: string
  /** A directory on the file system whose size is reported. */
  readonly disk: string
}

/** This machine. Only the root file system is looked at: a network mount may hang. */
export const MACHINE: Sources = { proc: '/proc', root: '', disk: '/' }

/**
 * Finds the daemon's cgroups. Returns, for a controller, the lineage in the unified hierarchy, then that of version 1:
 * on a machine with both, either may have the controller. Nothing where there are no cgroups.
 */
export async function findLineages({ proc, root }: Sources): Promise<(controller: Controller) => Lineage[]> {
  const [membership, mountinfo] = await Promise.all([
    readFile(`${proc}/self/cgroup`, 'latin1').catch(() => ''),
    readFile(`${proc}/self/mountinfo`, 'latin1').catch(() => ''),
  ])
  const mounts = parseMountinfo(mountinfo)
  const memberships = parseMemberships(membership)
  const inside = (mount: Mount, path: string) => directoriesOf(mount, path).map((directory) => root + directory)
  return (controller) => {
    const found: Lineage[] = []
    for (const { controllers, path } of memberships) {
      const version = controllers.length === 0 ? 2 : 1
      if (version === 1 && !controllers.includes(controller)) continue
      const mount = mounts.find(({ type, options }) =>
        version === 2 ? type === 'cgroup2' : type === 'cgroup' && options.includes(controller),
      )
      if (mount !== undefined) found.push({ version, directories: inside(mount, path) })
    }
    return found.sort((a, b) => b.version - a.version)
  }
}

/**
 * A container sees its own cgroup as the root of the mount while /proc may name it by its path on the host; a path that
 * is not below that root, or that leaves it (`/..`), is out of sight, and the root is what is left.
 */
function directoriesOf({ root, point }: Mount, path: string): string[] {
  const base = root === '/' ? '' : root
  const visible = (path === base || path.startsWith(`${base}/`)) && !path.startsWith('/..')
  const names = visible ? path.slice(base.length).split('/').filter(Boolean) : []
  return [...names.keys(), names.length].reverse().map((depth) => [point, ...names.slice(0, depth)].join('/'))
}
