import { globSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

export type Figures = Readonly<Record<string, number>>

/**
 * What a process holds: MiB of memory, counts of all else. `anonymous` is what it has to itself: heap, buffers and
 * stacks. Empty when it is gone.
 */
export function figuresOf(pid: number): Figures {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
    const figure = (text: string, name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1])
    return {
      resident: figure(status, 'VmRSS') / 1024,
      proportional: figure(rollup, 'Pss') / 1024,
      anonymous: figure(rollup, 'Pss_Anon') / 1024,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      threads: figure(status, 'Threads'),
      watches: watchesOf(pid),
    }
  } catch {
    return {}
  }
}

/** Directories and files that its inotify instances watch. */
function watchesOf(pid: number): number {
  const lines = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      if (!readlinkSync(`/proc/${pid}/fd/${fd}`).includes('inotify')) return 0
      return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1').split('inotify wd:').length - 1
    } catch {
      // Closed meanwhile.
      return 0
    }
  })
  return lines.reduce((sum, count) => sum + count, 0)
}

/** Processes below one, and how many of them have ended and were not reaped. */
export function familyOf(pid: number): { processes: number; zombies: number } {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const below = threads.flatMap((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number),
    )
    const zombie = /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')) ? 1 : 0
    const families = below.map(familyOf)
    return {
      processes: families.reduce((sum, each) => sum + each.processes, below.length),
      zombies: families.reduce((sum, each) => sum + each.zombies, zombie),
    }
  } catch {
    return { processes: 0, zombies: 0 }
  }
}

/** What lies below the directory, what of it has a temporary name of the daemon's, and the cgroups. */
export function leftIn(dir: string): { files: number; temporary: number; cgroups: number } {
  const names = namesBelow(dir)
  return {
    files: names.length,
    temporary: names.filter((name) => /(^|\/)\.envd-/.test(name)).length,
    cgroups: globSync('/sys/fs/cgroup/**/cgroup.procs').length,
  }
}

/** Paths below the directory, relative to it. */
export function namesBelow(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
  } catch {
    // A directory that vanished while it was read.
    return []
  }
}

/** Connections to a port of this network namespace that their clients hold open. */
export function clientsOf(port: number): number {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/self/net/${name}`, 'latin1').split('\n'))
  return lines.filter((line) => {
    const [, , address = '', state] = line.trim().split(/\s+/)
    return address.endsWith(remote) && state === ESTABLISHED
  }).length
}

const ESTABLISHED = '01'
