import type { Log } from '../log.ts'
import { hideProcess } from '../native/files.ts'
import { close } from '../native/index.ts'
import { type Deposit, type Keeper, openKeeper, type Taken } from './keeper.ts'
import { DAEMON_KEY } from './keys.ts'

/** Daemons in a row that could not even start, after which the next one gives up what the earlier ones left. */
const MAX_FAILURES = 10

/**
 * Opens the keeper and takes what it has kept, whose descriptors are the caller's. After ten daemons that could not
 * start that is only the state of the sandbox: what is too much to be taken must not be the end of trying.
 * @param descriptor as for `openKeeper`.
 */
export async function takeOver(descriptor: number | undefined, log: Log): Promise<{ keeper: Keeper; taken: Taken }> {
  const keeper = openKeeper(descriptor, log)
  // It was started with the same environment.
  if (keeper.present) hideProcess(process.ppid)
  const taken = await keeper.take()
  if (taken.failures < MAX_FAILURES) return { keeper, taken }
  const state = taken.deposits.filter(({ key }) => key === DAEMON_KEY)
  giveUp(
    keeper,
    taken.deposits.filter(({ key }) => key !== DAEMON_KEY),
    log,
  )
  return { keeper, taken: { ...taken, deposits: state } }
}

/** Closes and drops what was taken. */
export function giveUp(keeper: Keeper, deposits: readonly Deposit[], log: Log): void {
  log.error({ count: deposits.length }, 'what the daemon before this one has left is given up')
  for (const { key, descriptors } of deposits) {
    for (const fd of descriptors) close(fd)
    keeper.drop(key)
  }
}
