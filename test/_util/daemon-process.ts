import { readFileSync } from 'node:fs'

/** The kernel's list may leave out children while others end (proc_pid_task(5)). */
const MOST_TRIES = 5

/**
 * The pid of the daemon that a launcher has started: the child of its keeper, at the moment, or the launcher's own
 * where it has become the daemon or something else that starts it. NaN: the keeper has none; process.kill refuses it,
 * and would take 0 for the caller's own group.
 */
export function daemonPid(launched: number): number {
  if (nameOf(launched) !== 'envd-keeper') return launched
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    // Orphans are children of the keeper as well.
    const children = read(`/proc/${launched}/task/${launched}/children`).trim().split(' ').map(Number)
    const found = children.find((pid) => nameOf(pid) === 'envd')
    if (found !== undefined) return found
  }
  return Number.NaN
}

function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim()
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
