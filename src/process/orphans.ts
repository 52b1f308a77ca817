import type { Log } from '../log.ts'
import { waitOrphan } from '../native/index.ts'

/** Pause until the next attempt when a child of the daemon itself has to be reaped first. */
const RETRY_MS = 50

/**
 * Reaps orphans, which became children of this process, when it runs as PID 1. The daemon's own children, of which
 * `ours` returns the pids, are left to the code that started them. Returns the function that stops it. Does nothing
 * under any other pid.
 */
export function reapOrphans(ours: () => number[], log: Log): () => void {
  if (process.pid !== 1) return () => {}
  let retry: NodeJS.Timeout | undefined
  const reap = () => {
    const left = ours()
    for (let found = waitOrphan(left); found !== 'none'; found = waitOrphan(left)) {
      if (found === 'ours') {
        retry ??= setTimeout(() => {
          retry = undefined
          reap()
        }, RETRY_MS)
        return
      }
      log.debug({ pid: found }, 'orphan reaped')
    }
  }
  process.on('SIGCHLD', reap)
  return () => {
    process.off('SIGCHLD', reap)
    clearTimeout(retry)
  }
}
