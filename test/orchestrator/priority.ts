import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The lowest priority of real-time processes (sched(7)), which is before all others. */
export const REAL_TIME = ['--fifo', '1']

/**
 * Makes the test a real-time process: it stands for a host whose processors are not the guest's, so that a call that misses its time is the
 * daemon's doing. What it starts is not (SCHED_RESET_ON_FORK). Disposing ends it.
 */
export async function runInRealTime(): Promise<AsyncDisposable> {
  const own = String(process.pid)
  await run('chrt', ['--reset-on-fork', '--fifo', '--pid', '1', own])
  return {
    async [Symbol.asyncDispose]() {
      await run('chrt', ['--other', '--pid', '0', own])
    },
  }
}
