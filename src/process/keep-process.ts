import type { LimitedGroup } from '../cgroups/limited-group.ts'
import { AppError } from '../errors.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import type { ChildDeposit } from '../native/index.ts'
import { commandBytes } from './command-memory.ts'
import type { Deposits } from './deposits.ts'
import type { LaunchRequest } from './launch.ts'
import type { ProcessDeposit } from './process-deposit.ts'

/** A description that takes longer to write than the event loop should halt: such a command is not kept. */
const MAX_KEPT_BYTES = 512 * 1024

/** A command that is to be kept for the next daemon. */
export interface Keeping {
  readonly deposit: ProcessDeposit
  /** What the process deposits itself; undefined: `ProcessDeposit.begin` does it when it runs. */
  readonly child: ChildDeposit | undefined
}

interface KeepContext {
  readonly request: LaunchRequest
  readonly cwd: string
  /** The cgroup of this command alone. */
  readonly group: LimitedGroup | undefined
  readonly deposits: Deposits | undefined
}

/**
 * Prepares the deposit of a command that is about to start. Undefined, with a line of the log and the deposit dropped:
 * it is not kept.
 */
export async function keepProcess(
  deposit: ProcessDeposit | undefined,
  held: Parameters<ProcessDeposit['prepare']>[0],
  { request, cwd, group, deposits }: KeepContext,
): Promise<Keeping | undefined> {
  if (deposit === undefined) return undefined
  const { config, tag, key, digest, replay, routine = false, terminal: size, limits, user, deadline, run } = request
  try {
    // A service is described by its configuration, and must never run twice.
    if (run === undefined && commandBytes(config, tag) > MAX_KEPT_BYTES)
      throw new AppError('resource_exhausted', 'its description is too long')
    const started = monotonicNow()
    const child = await deposit.prepare(held, {
      ...{ config, tag, key, digest, replay, routine, size, started, run },
      ...{ user: user.name, cwd, outputMax: limits?.outputMax, group: group?.name },
      deadline: deadline === undefined ? undefined : started + deadline - performance.now(),
    })
    return { deposit, child }
  } catch (error) {
    deposits?.notKept(error)
    deposit.drop()
    return undefined
  }
}
