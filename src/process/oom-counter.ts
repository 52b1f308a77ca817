import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseMemberships, unifiedPath } from '../lib/cgroup-memberships.ts'

/** Where the kernel reports kills for lack of memory. */
export interface OomOptions {
  /** Where cgroup v2 is mounted; v1: where its `memory` directory is. */
  readonly cgroupRoot: string
  /** Default: /proc. */
  readonly proc?: string
}

/** Counts the processes that the kernel killed for lack of memory. */
export interface OomCounter {
  /** So far, in the cgroup that the count began in; undefined where it cannot be read. */
  count(): Promise<number | undefined>
}

/** The counter of cgroups (v2) together; undefined where they have no memory controller. */
export async function oomCounterOfGroups(directories: readonly string[]): Promise<OomCounter | undefined> {
  const files = directories.map((directory) => join(directory, 'memory.events'))
  const count = async () => {
    const counts = await Promise.all(files.map(countIn))
    return counts.reduce((sum, one) => (sum === undefined || one === undefined ? undefined : sum + one), 0)
  }
  return (await count()) === undefined ? undefined : { count }
}

/**
 * The counter of the cgroup that a process is in at the moment: `memory.events` (cgroup v2, cgroups below included) or
 * `memory.oom_control` (v1). A container without a cgroup namespace of its own sees a path of the host's and
 * its own cgroup as the root (cgroup_namespaces(7)). In the machine's root cgroup, which has neither file, the count of
 * the whole machine in /proc/vmstat.
 */
export async function oomCounterOf(pid: number, { cgroupRoot, proc = '/proc' }: OomOptions): Promise<OomCounter> {
  const memberships = parseMemberships(await textOf(join(proc, String(pid), 'cgroup')))
  const v1 = memberships.find(({ controllers }) => controllers.includes('memory'))?.path
  const v2 = unifiedPath(memberships)
  // A cgroup without the controller, as that of a service, is counted in the nearest one above that has it.
  const upwards = (path: string | undefined, root: string, file: string) =>
    path === undefined ? [] : [...ancestors(path).map((group) => join(root, group, file)), join(root, file)]
  const files = [
    ...upwards(v1, join(cgroupRoot, 'memory'), 'memory.oom_control'),
    ...upwards(v2, cgroupRoot, 'memory.events'),
    join(proc, 'vmstat'),
  ]
  for (const file of files) {
    if ((await countIn(file)) !== undefined) return { count: () => countIn(file) }
  }
  return { count: async () => undefined }
}

/**
 * The path itself and what is above it, without the root. A path out of the namespace (`/../other`) is no path below
 * the root.
 */
function ancestors(path: string): string[] {
  const names = path.split('/').filter((name) => name !== '')
  if (names.includes('..')) return []
  return names.map((_, index) => names.slice(0, names.length - index).join('/'))
}

/** The line `oom_kill N`, which all three files have. */
async function countIn(file: string): Promise<number | undefined> {
  const text = /^oom_kill (\d+)$/m.exec(await textOf(file))?.[1]
  return text === undefined ? undefined : Number(text)
}

function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}
