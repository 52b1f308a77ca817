import { close, pidfdWait, poll, spawn } from '../native/index.ts'

/** Writes `cpuN/online` in a child process: the kernel may take seconds for it, or hang for ever. */
export interface OnlineWriter {
  /**
   * Writes `1` or `0` into that file. Resolves when the child has ended, however long that takes, or when this is
   * closed; never rejects.
   */
  write(file: string, online: boolean): Promise<void>
  /** Milliseconds that the write under way has taken so far, at least 1; 0: there is none. */
  pendingMs(): number
  /** The child that runs, which must not be reaped elsewhere. */
  pids(): number[]
  /** Waits no longer for a child; it is left to itself. Idempotent. */
  close(): void
}

/** The words come as arguments, never in the script. */
const SCRIPT = 'printf %s "$1" >"$2"'

/** @param devNull an open descriptor of /dev/null. */
export function createOnlineWriter(devNull: number): OnlineWriter {
  let began: number | undefined
  let pid: number | undefined
  let letGo = () => {}
  let closed = false
  const ended = (pidfd: number) =>
    new Promise<void>((resolve) => {
      const exit = poll(pidfd, false, () => {
        if (pidfdWait(pidfd) !== undefined) letGo()
      })
      letGo = () => {
        letGo = () => {}
        exit.close()
        close(pidfd)
        resolve()
      }
      exit.start()
    })
  return {
    write: async (file, online) => {
      if (closed) return
      began = performance.now()
      const args = ['-c', SCRIPT, 'sh', online ? '1' : '0', file]
      const stdio = [devNull, devNull, devNull] as const
      try {
        const child = await spawn({ file: '/bin/sh', args, env: [], cwd: '/', stdio, terminal: false })
        pid = child.pid
        const end = ended(child.pidfd)
        if (closed) letGo()
        await end
      } catch {
        // No process, no write: the caller looks at what came of it.
      } finally {
        began = undefined
        pid = undefined
      }
    },
    pendingMs: () => (began === undefined ? 0 : Math.max(1, Math.round(performance.now() - began))),
    pids: () => (pid === undefined ? [] : [pid]),
    close: () => {
      closed = true
      letGo()
    },
  }
}
