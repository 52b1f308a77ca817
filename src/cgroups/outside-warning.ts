import type { Log } from '../log.ts'

/** Time between two lines: every command may be concerned, and the reason is the same. */
const INTERVAL_MS = 60_000

/** Makes a function that logs that commands start outside of their cgroup, with how many since the last line. */
export function createOutsideWarning(log: Log): (group: string, errno: string) => void {
  let next = Number.NEGATIVE_INFINITY
  let commands = 0
  return (group, errno) => {
    commands += 1
    const now = performance.now()
    if (now < next) return
    next = now + INTERVAL_MS
    log.warn({ group, errno, commands }, 'commands start outside of their cgroup: no freeze and no limit reaches them')
    commands = 0
  }
}
