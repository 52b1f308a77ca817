import type { LimitedGroup } from '../cgroups/limited-group.ts'
import type { Deposit } from '../keeper/keeper.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import { close, duplicate } from '../native/index.ts'
import { commandGroup } from './command-group.ts'
import type { Deposits } from './deposits.ts'
import { exitStatusOf } from './exit-status.ts'
import { InputQueue } from './input-queue.ts'
import type { KeptKill } from './kept-account.ts'
import { aboutOf } from './known-process.ts'
import type { LaunchDeps } from './launch.ts'
import type { Launched } from './launched.ts'
import { OutputLog, type StreamName } from './output-log.ts'
import type { FoundOutput } from './output-recovery.ts'
import { FINISHED } from './process-deposit.ts'
import { type ProcessRecord, readAccount, readRecord } from './process-record.ts'

/** A process of an earlier daemon, to go on with. */
interface RestoredProcess {
  readonly launched: Launched
  readonly record: ProcessRecord
  /** Its end was reported already. */
  readonly finished: boolean
  /** What is left to be done of what that daemon was asked for. */
  readonly kills: readonly KeptKill[]
}

type RestoreDeps = Pick<LaunchDeps, 'window' | 'readerStall' | 'groups' | 'oom'> & { readonly deposits: Deposits }

/**
 * Milliseconds that clients which lost their streams have to connect again and get what was written meanwhile; a
 * command that writes on without a reader may wait as long.
 */
export const RECONNECT_MS = 10_000

/**
 * Takes a deposit, whose descriptors belong to the process from then on. Undefined, with all closed: it is not
 * understood.
 */
export function restoreProcess(
  deposit: Deposit,
  found: FoundOutput | undefined,
  deps: RestoreDeps,
): RestoredProcess | undefined {
  const { content, descriptors: others, pid, status, note } = deposit
  const record = readRecord(content)
  const streams: readonly StreamName[] = record?.size === undefined ? ['stdout', 'stderr'] : ['pty']
  const [pidfd, last, ...rest] = others.slice(streams.length)
  if (record === undefined || rest.length > 0 || (status === undefined && pidfd === undefined)) {
    for (const fd of others) close(fd)
    return undefined
  }
  const { config, tag, replay, routine, size, outputMax } = record
  const kept = deps.deposits.resume(deposit.key, outputMax !== undefined, found)
  kept.taken(streams.length, record, content.length)
  const sources = streams.flatMap((stream, index) => {
    const fd = others[index]
    return fd === undefined ? [] : [{ fd, stream }]
  })
  const { window, readerStall: stall } = deps
  const { pool } = kept.output
  const { end: reported, kills } = readAccount(found?.end?.bytes)
  const finished = note === FINISHED || reported !== undefined
  const share = finished && status !== undefined ? window.shareOfEnded() : window.share()
  const output = new OutputLog({ share, pool, stall, kept: kept.output })
  // Whole, as the codecs of a Timestamp want it.
  const startedAt = Math.round(Date.now() - (monotonicNow() - record.started))
  const reconnect = { offsets: kept.output.produced, until: performance.now() + RECONNECT_MS }
  const common = {
    ...{ pid, config, tag, replay, routine, size: kept.output.size ?? size, reconnect, startedAt },
    about: aboutOf({ ...record, terminal: size }, record),
    ...{ output, pool, sources, outputMax, deposit: kept, kept: kept.output },
    group: finished ? undefined : groupOf(record, deps.groups),
  }
  const terminal = size !== undefined
  const [master] = terminal ? others : []
  if (status !== undefined) {
    for (const fd of others.slice(streams.length)) close(fd)
    const ended = { pidfd: undefined, status: exitStatusOf(status), input: undefined, over: finished, end: reported }
    return { record, finished, kills, launched: { ...common, ...ended, terminal: master } }
  }
  const end = terminal ? copyOf(master) : last
  const input = end === undefined ? undefined : new InputQueue(end, terminal ? 'tty' : 'stdin', kept.input(terminal))
  const oom = deps.oom.begin()
  const alive = { pidfd, inherited: true, oom, input, terminal: master, heldSlave: terminal ? last : undefined }
  return { record, finished, kills, launched: { ...common, ...alive } }
}

/** The cgroup of the command, if it has one of its own. One whose end was reported has no more use for it. */
function groupOf({ tag, size, group }: ProcessRecord, groups: LaunchDeps['groups']): LimitedGroup | undefined {
  const above = commandGroup({ tag, terminal: size })
  return group === undefined || above === undefined ? undefined : groups.takeLimited(above, group)
}

/**
 * A copy of the master; undefined if there is no master or no free descriptor: then the terminal goes on without input.
 */
function copyOf(master: number | undefined): number | undefined {
  try {
    return master === undefined ? undefined : duplicate(master)
  } catch {
    return undefined
  }
}
