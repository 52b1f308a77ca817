import { readFile, realpath } from 'node:fs/promises'
import { posix } from 'node:path'
import { parseMemberships, unifiedPath } from '../../lib/cgroup-memberships.ts'
import { type Mount, parseMountinfo } from '../../lib/mountinfo.ts'
import { chainOf } from './group-tree.ts'

/** Where the kernel describes this process; another place is for tests. */
const PROC_SELF = '/proc/self'

/** The daemon's own cgroup: its directory, and `root` without links. */
interface OwnGroup {
  readonly root: string
  readonly own: string
}

/**
 * The directory of the daemon's own cgroup in the hierarchy that `root` is a part of; it need not be below `root`.
 * Undefined if it is unknown: no cgroup2 mount, a cgroup outside of the namespace, or one that was removed. Never
 * rejects.
 */
export async function ownGroup(root: string, procSelf = PROC_SELF): Promise<OwnGroup | undefined> {
  try {
    const [cgroup, mounts, real] = await Promise.all([
      readFile(`${procSelf}/cgroup`, 'utf8'),
      readFile(`${procSelf}/mountinfo`, 'utf8'),
      realpath(root),
    ])
    const own = ownDirectory(cgroup, mounts, real)
    return own === undefined ? undefined : { root: real, own }
  } catch {
    return undefined
  }
}

/**
 * The cgroups from `root` down to the daemon's own, by their paths from `root`: these must never be frozen. Just the
 * root ('') for a daemon that is in the root, or in no cgroup below it. undefined if it is unknown (`ownGroup`).
 */
export async function ownChain(root: string, procSelf = PROC_SELF): Promise<ReadonlySet<string> | undefined> {
  const group = await ownGroup(root, procSelf)
  return group === undefined ? undefined : chainBelow(group.root, group.own)
}

function chainBelow(root: string, own: string): ReadonlySet<string> {
  return new Set(isWithin(own, root) ? chainOf(posix.relative(root, own)) : [''])
}

/**
 * The directory of the daemon's cgroup in the hierarchy that `root` is a part of (proc_pid_mountinfo(5), cgroups(7)).
 */
function ownDirectory(cgroup: string, mounts: string, root: string): string | undefined {
  const path = unifiedPath(parseMemberships(cgroup))
  const mount = cgroupMounts(mounts).findLast(({ point }) => isWithin(root, point))
  if (path === undefined || mount === undefined || path.endsWith(' (deleted)')) return undefined
  // A way up from the namespace's root leads to directories whose names are unknown.
  if (hasWayUp(path) || hasWayUp(mount.root)) return undefined
  return isWithin(path, mount.root)
    ? posix.join(mount.point, posix.relative(mount.root, path))
    : posix.dirname(mount.point)
}

/** Those of cgroup2, the innermost last. */
function cgroupMounts(mountinfo: string): Mount[] {
  return parseMountinfo(mountinfo)
    .filter(({ type }) => type === 'cgroup2')
    .sort((a, b) => a.point.length - b.point.length)
}

/** Whether an absolute path is that directory, or in it. */
export function isWithin(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`)
}

function hasWayUp(path: string): boolean {
  return path.split('/').includes('..')
}
