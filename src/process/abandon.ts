import { AppError, errnoKind, errnoOf } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import { close, pidfdSignal, pidfdWait } from '../native/index.ts'
import type { Launched } from './launched.ts'

const SIGKILL = 9
/** Milliseconds between attempts to reap it. poll(2) cannot report its end, as it may be what has failed. */
const REAP_MS = 10

/** Kills a command that the daemon cannot follow, and reaps it. Owns the pidfd. */
export function killUnfollowed(pidfd: number): void {
  pidfdSignal(pidfd, SIGKILL)
  const reap = () => {
    if (pidfdWait(pidfd) === undefined) return void setTimeout(reap, REAP_MS).unref()
    close(pidfd)
  }
  reap()
}

/**
 * Kills and reaps a launched command, and closes its descriptors except `sources`. Returns the error for its client.
 */
export function abandon(launched: Launched, error: unknown): AppError {
  const { pidfd, input, heldSlave, deposit, output, oom, group } = launched
  if (pidfd !== undefined) killUnfollowed(pidfd)
  input?.destroy()
  if (heldSlave !== undefined) close(heldSlave)
  deposit?.drop()
  output.discard()
  output.close()
  oom?.end()
  group?.removeOnceEmpty()
  return unfollowed(error)
}

/** The error of a start whose command cannot be followed: there is no room to wait for its output or its end. */
export function unfollowed(error: unknown): AppError {
  if (error instanceof AppError) return error
  const errno = errnoOf(error) ?? 'EIO'
  // The limit of fs.epoll.max_user_watches.
  const kind = errno === 'ENOSPC' || errno === 'EAGAIN' ? 'resource_exhausted' : errnoKind(errno)
  return new AppError(kind, `error starting process: it cannot be followed: ${errnoText(errno)}`, { cause: error })
}
