import { readFileSync } from 'node:fs'

/**
 * The pid of the daemon that a launcher has started: the child of its keeper, at the moment, or the launcher's own
 * where it has become the daemon or something else that starts it. 0: the keeper has none.
 */
export function daemonPid(launched: number): number {
  if (nameOf(launched) !== 'envd-keeper') return launched
  // Orphans are children of the keeper as well.
  const children = read(`/proc/${launched}/task/${launched}/children`).trim().split(' ').map(Number)
  return children.find((pid) => nameOf(pid) === 'envd') ?? 0
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
