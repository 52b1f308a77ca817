import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The host's processor: the last, where there are several. The others are the machine's. */
const last = availableParallelism() - 1

/** Words before a command that make it run on the machine's processors, also for other starters. */
export const ON_MACHINE = last > 0 ? ['taskset', '--cpu-list', `0-${last - 1}`] : []

/** The same for a command of the host's, which goes before what else may be there. */
export const ON_HOST = [...(last > 0 ? ['taskset', '--cpu-list', String(last)] : []), 'nice', '-n', '-20']

/** How many processors the machine has. */
export const MACHINE_PROCESSORS = Math.max(last, 1)

/** The share of all processors that is used when the machine's are busy. */
export const BUSY_PERCENT = (90 * MACHINE_PROCESSORS) / availableParallelism()

/**
 * Keeps the test off the processors of the machine, as a host's work is: what is measured is then the daemon beside its
 * commands, not beside the test. Disposing gives all processors back.
 */
export async function runOnHost(): Promise<AsyncDisposable> {
  const own = String(process.pid)
  const bind = (list: string) => run('taskset', ['--all-tasks', '--cpu-list', '--pid', list, own])
  if (last > 0) await bind(String(last))
  return {
    async [Symbol.asyncDispose]() {
      if (last > 0) await bind(`0-${last}`)
    },
  }
}
