import { open, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { listPids, type ProcessStat, startTimeOf, statOf } from '../lib/proc-pid.ts'
import { close, pidfdOpen, pidfdSignal } from '../native/index.ts'
import { randomUuid } from '../native/random.ts'

/** The variable that names a run of a service; whatever the run starts inherits it, in any session. */
export const MARKER = 'ENVD_SERVICE_RUN'

/** One run of a service. */
export interface Lineage {
  readonly pid: number
  /** Of its leader, by which the pid is distinguished from the same pid of a later process. */
  readonly startTime: string | undefined
  /** The value of `MARKER`. */
  readonly marker: string
}

/** A value of `MARKER` that no other run has. */
export const newMarker = randomUuid

/** The processes of one run of a service: start times by pid (`startTimeOf`). */
type Family = ReadonlyMap<number, string>

/**
 * Bytes of a process's environment that are searched: the marker is among the first variables, unless a program has
 * rewritten them.
 */
const MAX_ENVIRONMENT = 128 * 1024

/** Processes that are read in parallel; few, to keep the thread pool free for others. */
const LANES = 4

/** SIGHUP's bit in the SigIgn mask of /proc/PID/status. */
const IGNORES_SIGHUP = 1n

const numbers = { SIGTERM: 15, SIGKILL: 9 } as const

/** First and longest pause between two checks of what still runs. */
const FIRST_LOOK_MS = 20
const MAX_LOOK_MS = 500

/** Least time between SIGTERM and SIGKILL for the family, also when the session has used up the grace. */
const MIN_GRACE_MS = 500

/** After SIGKILL processes that hang in the kernel are waited for this long. */
const KILL_GRACE_MS = 2_000

/**
 * All processes below a leader, and all that carry the run's marker, whatever session they are in, with all below
 * them. The leader and who ignores SIGHUP are not among them. Empty where /proc cannot be read.
 */
export async function familyOf({ pid: leader, startTime: born, marker }: Lineage): Promise<Family> {
  const processes = await readProcesses(marker)
  const isLeader = ({ pid, startTime }: Seen) => pid === leader && startTime === born
  const below = new Map<number, Seen[]>()
  for (const seen of processes) below.set(seen.parent, [...(below.get(seen.parent) ?? []), seen])
  const members = new Set(processes.filter((seen) => seen.marked || isLeader(seen)))
  // A set iterates over what is added to it meanwhile as well.
  for (const { pid } of members) if (pid !== process.pid) for (const child of below.get(pid) ?? []) members.add(child)
  const family = new Map<number, string>()
  for (const seen of members) {
    const { pid, startTime } = seen
    if (pid !== process.pid && !isLeader(seen) && !(await ignoresHangUp(pid))) family.set(pid, startTime)
  }
  return family
}

/** How the processes of one run are found, and killed all at once where that is possible. Neither rejects. */
export interface Relatives {
  list(): Promise<Family>
  kill(): Promise<unknown>
}

/** Those of the pids that still run, with their start times. */
export async function livingOf(pids: readonly number[]): Promise<Family> {
  const living = new Map<number, string>()
  for (const pid of pids) {
    const startTime = await startTimeOf(pid)
    if (startTime !== undefined) living.set(pid, startTime)
  }
  return living
}

/**
 * Ends what is left of a family, and what has joined it by now: SIGTERM, and SIGKILL after `grace` milliseconds.
 * Resolves when no process is left, or 2 s after SIGKILL. Never rejects.
 */
export async function endFamily(known: Family, relatives: Relatives, grace: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (signal === 'SIGKILL') await relatives.kill()
    const until = performance.now() + (signal === 'SIGTERM' ? Math.max(grace, MIN_GRACE_MS) : KILL_GRACE_MS)
    const signaled = new Set<number>()
    for (let pause = FIRST_LOOK_MS; performance.now() < until; pause = Math.min(pause * 2, MAX_LOOK_MS)) {
      const left = new Map([...(await stillThere(known)), ...(await relatives.list())])
      if (left.size === 0) return
      for (const [pid, startTime] of left) {
        if (signal === 'SIGTERM' && signaled.has(pid)) continue
        signaled.add(pid)
        await signalProcess(pid, startTime, numbers[signal])
      }
      await sleep(pause, undefined, { ref: false })
    }
  }
}

interface Seen extends ProcessStat {
  readonly pid: number
  readonly marked: boolean
}

async function readProcesses(marker: string): Promise<Seen[]> {
  const seen: Seen[] = []
  await forEachLimited(await listPids(), LANES, async (pid) => {
    const stat = await statOf(pid)
    if (stat !== undefined) seen.push({ pid, ...stat, marked: await carries(pid, marker) })
  })
  return seen
}

async function carries(pid: number, marker: string): Promise<boolean> {
  const file = await open(`/proc/${pid}/environ`, 'r').catch(() => undefined)
  if (file === undefined) return false
  try {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(MAX_ENVIRONMENT), 0, MAX_ENVIRONMENT, 0)
    return `\0${buffer.toString('latin1', 0, bytesRead)}`.includes(`\0${MARKER}=${marker}\0`)
  } catch {
    return false
  } finally {
    await file.close()
  }
}

async function stillThere(known: Family): Promise<Family> {
  const left = new Map<number, string>()
  for (const [pid, startTime] of known) if ((await startTimeOf(pid)) === startTime) left.set(pid, startTime)
  return left
}

/** By a pidfd, and only once it is known whose that is: a process that got the number later is never signalled. */
async function signalProcess(pid: number, startTime: string, signal: number): Promise<void> {
  const pidfd = pidfdOpen(pid)
  if (pidfd < 0) return
  try {
    if ((await startTimeOf(pid)) === startTime) pidfdSignal(pidfd, signal)
  } finally {
    close(pidfd)
  }
}

async function ignoresHangUp(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const mask = /^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & IGNORES_SIGHUP) !== 0n
}
