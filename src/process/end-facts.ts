import type { GroupUsage, LimitedGroup } from '../cgroups/limited-group.ts'
import type { Reaped } from '../native/index.ts'
import type { EndFacts, KnownEnd, LimitHit, Usage } from './exit-status.ts'
import type { OomInquiry } from './oom-witness.ts'

/** Why the daemon itself has ended a command. */
export type KillReason = 'deadline' | 'daemon_stopped'

/** How a command ended, and what is known of its life. */
export interface Circumstances {
  readonly pid: number
  readonly status: KnownEnd
  /** The daemon has sent it SIGTERM or SIGKILL, for a client or for a reason of its own. */
  readonly signalled: boolean
  readonly reason: KillReason | undefined
  readonly group: LimitedGroup | undefined
  readonly oom: Pick<OomInquiry, 'wasOutOfMemory'> | undefined
  readonly usage: Usage
}

const SIGKILL = 9

/** What a shell exits with when SIGKILL ended its command. */
const CHILD_KILLED = 128 + SIGKILL

/**
 * Says why a command ended, and what it took. A promise, which never rejects, only where the kernel has to be asked:
 * for a command with a cgroup of its own, and for one that SIGKILL ended which the daemon has not sent.
 */
export function endFacts(circumstances: Circumstances): EndFacts | Promise<EndFacts> {
  const { group, status, signalled, oom } = circumstances
  if (group !== undefined) return groupFacts(circumstances, group)
  const how = signalled ? undefined : likelyKilled(status)
  if (how === undefined) return plainFacts(circumstances)
  if (oom === undefined) return unseenFacts(circumstances, how)
  return oom.wasOutOfMemory(circumstances.pid, how).then((killed): EndFacts => {
    const facts = plainFacts(circumstances)
    return killed ? { ...facts, cause: 'out_of_memory', outOfMemory: true } : facts
  })
}

/** The same from what is known already, without I/O. */
export function plainFacts({ status, reason, usage }: Omit<Circumstances, 'group' | 'oom' | 'pid'>): EndFacts {
  const cause = status === 'unknown' ? 'unknown' : (reason ?? ('signal' in status ? 'signal' : 'exit'))
  return { cause, outOfMemory: false, limitsHit: [], usage }
}

/** Of one that ended while there was no daemon that could see why it was killed. */
function unseenFacts(circumstances: Circumstances, how: 'killed' | 'child killed'): EndFacts {
  const facts = plainFacts(circumstances)
  return how === 'killed' ? { ...facts, cause: 'unknown' } : facts
}

async function groupFacts(circumstances: Circumstances, group: LimitedGroup): Promise<EndFacts> {
  const taken = await group.usage()
  const facts = plainFacts(circumstances)
  const outOfMemory = taken.oomKills > 0 && !circumstances.signalled && likelyKilled(circumstances.status) !== undefined
  const cause = taken.memoryHits > 0 ? 'limit' : 'out_of_memory'
  const limitsHit: LimitHit[] = []
  if (taken.memoryHits > 0) limitsHit.push('memory')
  if (taken.pidsHits > 0) limitsHit.push('pids')
  const usage = withGroup(circumstances.usage, taken)
  return { ...facts, ...(outOfMemory ? { cause, outOfMemory } : {}), limitsHit, usage }
}

function withGroup(usage: Usage, { cpuSeconds, peakMemory }: GroupUsage): Usage {
  return { ...usage, cpuSeconds: cpuSeconds ?? usage.cpuSeconds, peakMemory: peakMemory ?? usage.peakMemory }
}

function likelyKilled(status: KnownEnd): 'killed' | 'child killed' | undefined {
  if (status === 'unknown') return undefined
  if ('signal' in status) return status.signal === SIGKILL ? 'killed' : undefined
  return status.exitCode === CHILD_KILLED ? 'child killed' : undefined
}

/**
 * What the kernel says that a process has used; the memory only if it is more than this daemon's own
 * (`Reaped.peakKib`).
 */
export function usedBy(reaped: Reaped | undefined): Pick<Usage, 'cpuSeconds' | 'peakMemory'> {
  if (reaped === undefined) return { cpuSeconds: undefined, peakMemory: undefined }
  const { cpuMicroseconds, peakKib } = reaped
  return { cpuSeconds: cpuMicroseconds / 1e6, peakMemory: isAboveOwn(peakKib) ? peakKib * 1024 : undefined }
}

/** This daemon's peak when it was asked for last: it only grows. */
let ownPeakKib = 0

function isAboveOwn(peakKib: number): boolean {
  if (peakKib <= ownPeakKib) return false
  ownPeakKib = process.resourceUsage().maxRSS
  return peakKib > ownPeakKib
}
