import { close, type Poll, pidfdLook, pidfdReap, poll, type Reaped } from '../native/index.ts'
import { exitStatusOf, type KnownEnd } from './exit-status.ts'
import type { Launched } from './launched.ts'

/**
 * Calls `use` once, when the process has ended, never before this function has returned. The status is the kernel's for
 * a child, the keeper's for a process that an earlier daemon started, and `status` if there is no pidfd. Owns the
 * pidfd, unless it throws (`code`). A child is reaped when `use` has returned: by then the keeper has its status.
 */
export function onExit(
  { pidfd, status, adopted, inherited, deposit }: Launched,
  use: (status: KnownEnd, reaped: Reaped | undefined) => void,
): void {
  if (pidfd === undefined) {
    setImmediate(() => use(status ?? { exitCode: 127 }, undefined))
    return
  }
  if (inherited === true) {
    onExitElsewhere(pidfd, deposit, (end) => use(end, undefined))
    return
  }
  const exit = poll(pidfd, false, () => {
    const seen = adopted === true ? 'unknown' : pidfdLook(pidfd)
    if (seen === undefined) return
    exit.close()
    try {
      if (seen === 'unknown') use(seen, undefined)
      else if (deposit === undefined) use(seen.status, seen)
      else deposit.atExit(seen.status, () => use(seen.status, seen))
    } finally {
      if (seen !== 'unknown') pidfdReap(pidfd)
      close(pidfd)
    }
  })
  startOrClose(exit)
}

function startOrClose(watch: Poll): void {
  try {
    watch.start()
  } catch (error) {
    watch.close()
    throw error
  }
}

/** How long to wait for the keeper to report the status of a process that has ended. */
const STATUS_WAIT_MS = 2_000

/** Without an answer of the keeper it is known only that the process is gone. */
function onExitElsewhere(pidfd: number, deposit: Launched['deposit'], use: (status: KnownEnd) => void): void {
  let timer: NodeJS.Timeout | undefined
  let over = false
  const settle = (status: KnownEnd) => {
    if (over) return
    over = true
    clearTimeout(timer)
    gone.close()
    close(pidfd)
    use(status)
  }
  const gone = poll(pidfd, false, () => {
    gone.stop()
    timer = setTimeout(() => settle('unknown'), STATUS_WAIT_MS)
  })
  startOrClose(gone)
  deposit?.onExited((status) => settle(exitStatusOf(status)))
}
