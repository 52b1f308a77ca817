import type { ByteBudget } from '../budget/budget.ts'
import type { Deposit } from '../keeper/keeper.ts'
import { errorFields } from '../lib/error-fields.ts'
import { longTimeout } from '../lib/long-timeout.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import { NEVER } from '../lib/never.ts'
import type { Log } from '../log.ts'
import { commandBytes } from './command-memory.ts'
import { goOnKilling } from './kills.ts'
import type { LaunchDeps } from './launch.ts'
import type { Launched } from './launched.ts'
import { logEnd } from './log-end.ts'
import { RunningProcess } from './process.ts'
import type { ServiceRun } from './process-record.ts'
import type { Registry } from './registry.ts'
import { RECONNECT_MS, restoreProcess } from './restore.ts'

interface RestoreAllDeps extends Pick<LaunchDeps, 'window' | 'readerStall' | 'deposits' | 'groups' | 'oom'> {
  readonly registry: Registry
  readonly budget: ByteBudget
  readonly log: Log
}

/** A run of a service that an earlier daemon has started; it may have ended meanwhile. */
export interface RestoredRun {
  readonly process: RunningProcess
  readonly run: ServiceRun
}

/**
 * Puts the processes of an earlier daemon into the registry, in the order of their start; what cannot be understood
 * is dropped. Returns the runs of services among them whose end was not reported, by service.
 */
export function restoreAll(taken: readonly Deposit[], deps: RestoreAllDeps): ReadonlyMap<string, RestoredRun> {
  const { deposits, registry, log } = deps
  const runs = new Map<string, RestoredRun>()
  if (deposits === undefined) return runs
  const outputs = deposits.recover(taken.map(({ key }) => key))
  const restored = taken.flatMap((deposit) => {
    const found = outputs.get(deposit.key)
    const process = restoreProcess(deposit, found, { ...deps, deposits })
    if (process !== undefined) return [process]
    log.error({ pid: deposit.pid }, 'what is kept of a process cannot be understood')
    deposits.resume(deposit.key, false, found).drop()
    return []
  })
  const returned = AbortSignal.timeout(RECONNECT_MS)
  restored.sort((a, b) => a.record.started - b.record.started)
  for (const { launched, record, finished, kills } of restored) {
    const process = follow(launched, deps)
    if (process === undefined) continue
    registry.add(process)
    const { key, digest } = record
    if (key !== undefined && digest !== undefined) registry.keys.restore(key, digest, process)
    if (!finished) goOn(process, record, deps)
    for (const kill of kills) goOnKilling(process, kill, registry)
    if (launched.inherited === true) process.output.awaitReader(returned)
    // The call that it was for has ended with the earlier daemon.
    if (record.routine) process.signal('SIGKILL', NEVER, 'daemon_stopped')
    if (record.run !== undefined && !finished) runs.set(record.run.service, { process, run: record.run })
  }
  return runs
}

/** One that cannot be followed goes on without the daemon, and must not take the others along. */
function follow(launched: Launched, { registry, log }: RestoreAllDeps): RunningProcess | undefined {
  try {
    return new RunningProcess(launched, (ended, end) => registry.retire(ended, end))
  } catch (error) {
    launched.oom?.end()
    launched.group?.removeOnceEmpty()
    log.error({ pid: launched.pid, ...errorFields(error) }, 'a process of the last daemon cannot be followed')
    return undefined
  }
}

function goOn(
  process: RunningProcess,
  {
    user,
    started,
    deadline,
  }: { readonly user: string; readonly started: number; readonly deadline: number | undefined },
  { budget, log }: RestoreAllDeps,
): void {
  const { pid, config, tag } = process
  const hold = budget.hold('command', { connection: undefined, user })
  hold.tryGrow(commandBytes(config, tag))
  log.info({ pid }, 'process_restore')
  const kill = () => void process.signal('SIGKILL', NEVER, 'deadline')
  const cancel = deadline === undefined ? () => {} : longTimeout(Math.max(0, deadline - monotonicNow()), kill)
  logEnd(process, { log, age: () => monotonicNow() - started })
  void process.ended.then(() => {
    hold.release()
    cancel()
  })
}
