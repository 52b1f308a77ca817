import { AppError } from '../errors.ts'
import { commandBytes } from './command-memory.ts'
import type { Deposits, ProcessDeposit } from './deposits.ts'
import type { About } from './known-process.ts'
import type { LaunchRequest } from './launch.ts'
import { monotonicNow } from './process-record.ts'

/** A description that takes longer to write than the event loop should halt: such a command is not kept. */
const MAX_KEPT_BYTES = 512 * 1024

interface Started {
  readonly request: LaunchRequest
  readonly about: About
  readonly deposits: Deposits | undefined
}

/**
 * Deposits a process that has just started, for the next daemon. Returns the deposit; undefined, with a line of the
 * log: it is not kept.
 */
export function keepProcess(
  deposit: ProcessDeposit | undefined,
  held: Parameters<ProcessDeposit['begin']>[0],
  { request, about, deposits }: Started,
): ProcessDeposit | undefined {
  if (deposit === undefined) return undefined
  const { config, tag, key, digest, replay, routine = false, terminal: size, limits, user, deadline } = request
  try {
    if (commandBytes(config, tag) > MAX_KEPT_BYTES)
      throw new AppError('resource_exhausted', 'its description is too long')
    const started = monotonicNow()
    deposit.begin(held, {
      ...{ config, tag, key, digest, replay, routine, size, started },
      ...{ user: user.name, cwd: about.cwd, outputMax: limits?.outputMax },
      deadline: deadline === undefined ? undefined : started + deadline - performance.now(),
    })
    return deposit
  } catch (error) {
    deposits?.notKept(held.pid, error)
    deposit.drop()
    return undefined
  }
}
