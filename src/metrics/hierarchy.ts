import { readFile } from 'node:fs/promises'

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
  /** A directory on the file system whose size is told. */
  readonly disk: string
}

/** This machine. Only the root file system is looked at: a network mount may hang. */
export const MACHINE: Sources = { proc: '/proc', root: '', disk: '/' }

interface Mount {
  /** The directory of the file system that is mounted. */
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

/**
 * Finds the daemon's cgroups. Gives, for a controller, the lineage in the unified hierarchy, then that of version 1: on a
 * machine with both, either may have the controller. Nothing where there are no cgroups.
 */
export async function findLineages({ proc, root }: Sources): Promise<(controller: Controller) => Lineage[]> {
  const [membership, mountinfo] = await Promise.all([
    readFile(`${proc}/self/cgroup`, 'latin1').catch(() => ''),
    readFile(`${proc}/self/mountinfo`, 'latin1').catch(() => ''),
  ])
  const mounts = parseMounts(mountinfo)
  const inside = (mount: Mount, path: string) => directoriesOf(mount, path).map((directory) => root + directory)
  return (controller) => {
    const found: Lineage[] = []
    for (const [, controllers = '', path = ''] of membership.matchAll(/^\d+:([^:]*):(.*)$/gm)) {
      const version = controllers === '' ? 2 : 1
      if (version === 1 && !controllers.split(',').includes(controller)) continue
      const mount = mounts.find(({ type, options }) =>
        version === 2 ? type === 'cgroup2' : type === 'cgroup' && options.includes(controller),
      )
      if (mount !== undefined) found.push({ version, directories: inside(mount, path) })
    }
    return found.sort((a, b) => b.version - a.version)
  }
}

/** The mounts of a /proc/pid/mountinfo (proc_pid_mountinfo(5)). */
function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , root, point] = before.split(' ')
    const [type, , options] = after.split(' ')
    if (root === undefined || point === undefined || type === undefined || options === undefined) return []
    return [{ root: unescaped(root), point: unescaped(point), type, options: options.split(',') }]
  })
}

/** Octal escapes stand for the characters that separate. */
function unescaped(path: string): string {
  return path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/**
 * A container sees its own cgroup as the root of the mount while /proc may name it by its path on the host; a path that is
 * not below that root, or that leaves it (`/..`), is out of sight, and the root is what is left.
 */
function directoriesOf({ root, point }: Mount, path: string): string[] {
  const base = root === '/' ? '' : root
  const visible = (path === base || path.startsWith(`${base}/`)) && !path.startsWith('/..')
  const names = visible ? path.slice(base.length).split('/').filter(Boolean) : []
  return [...names.keys(), names.length].reverse().map((depth) => [point, ...names.slice(0, depth)].join('/'))
}
