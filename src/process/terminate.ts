import { access, readdir, readFile } from 'node:fs/promises'
import { close, pidfdOpen, pidfdSignal } from '../native/index.ts'

/** Leader of a session; without a pidfd it is gone already, and only the rest of the session is signalled. */
export interface SessionLeader {
  readonly pid: number
  readonly pidfd: number | undefined
}

const numbers = { SIGTERM: 15, SIGKILL: 9 } as const

/** SIGHUP's bit in the SigIgn mask of /proc/PID/status. */
const IGNORES_SIGHUP = 1n

/** Passes over /proc until a kill finds nobody new. A fork bomb can outrun any number; each pass halves an ordinary tree. */
const MAX_PASSES = 16

/** Processes looked at side by side: keeps the thread pool free for others. */
const PARALLEL_READS = 8

/**
 * Signals a session: its leader always, and every other process in it that does not ignore SIGHUP, so that `nohup` and
 * `setsid` mean what they say. SIGKILL goes on until nobody is left, as a tree that is being killed may still fork. Every
 * process is signalled through a pidfd, after its session was read again: a number that was given to somebody else is
 * never hit. Stops early when `abort` aborts; the leader has its signal by then.
 */
export async function signalSession(
  leader: SessionLeader,
  signal: 'SIGTERM' | 'SIGKILL',
  abort: AbortSignal,
): Promise<void> {
  if (leader.pidfd !== undefined) pidfdSignal(leader.pidfd, numbers[signal])
  const passes = signal === 'SIGKILL' ? MAX_PASSES : 1
  const signalled = new Set<number>()
  for (let pass = 0; pass < passes && !abort.aborted; pass++) {
    // The kernel gives the number of a session to nobody while it has members: if somebody has it now, nobody is left.
    if (leader.pidfd === undefined && (await exists(leader.pid))) return
    const members = (await sessions()).get(leader.pid) ?? []
    const found = members.filter((pid) => pid !== leader.pid && !signalled.has(pid))
    const reached = await Promise.all(found.map((pid) => signalMember(pid, leader.pid, numbers[signal])))
    for (const pid of found) signalled.add(pid)
    if (!reached.includes(true)) return
  }
}

/** Whether a signal to the session would reach anybody. */
export async function sessionExists(leader: SessionLeader): Promise<boolean> {
  if (leader.pidfd === undefined && (await exists(leader.pid))) return false
  for (const pid of (await sessions()).get(leader.pid) ?? [])
    if (pid === leader.pid || !(await ignoresHangUp(pid))) return true
  return false
}

/** Live processes by their session. */
type Sessions = ReadonlyMap<number, readonly number[]>

let running: Promise<Sessions> | undefined
let following: Promise<Sessions> | undefined

/** A pass over /proc that begins now or later. Who asks during one shares the next: many kills at a time cost two passes. */
function sessions(): Promise<Sessions> {
  if (running !== undefined) {
    following ??= running.then(() => {
      following = undefined
      return sessions()
    })
    return following
  }
  running = readSessions().finally(() => {
    running = undefined
  })
  return running
}

/** Empty where /proc cannot be read. */
async function readSessions(): Promise<Sessions> {
  const names = await readdir('/proc').catch(() => [])
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number)
  const members = new Map<number, number[]>()
  const look = async (): Promise<void> => {
    for (let pid = pids.pop(); pid !== undefined; pid = pids.pop()) {
      const session = await sessionOf(pid)
      if (session === undefined) continue
      const known = members.get(session)
      if (known === undefined) members.set(session, [pid])
      else known.push(pid)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_READS }, look))
  return members
}

/** True if the process was in the session, minds SIGHUP and got the signal. */
async function signalMember(pid: number, sid: number, signal: number): Promise<boolean> {
  const pidfd = pidfdOpen(pid)
  if (pidfd < 0) return false
  try {
    if ((await sessionOf(pid)) !== sid || (await ignoresHangUp(pid))) return false
    return pidfdSignal(pidfd, signal) === 0
  } finally {
    close(pidfd)
  }
}

/** Session id of a live process from /proc/PID/stat (proc(5), field 6); undefined for a zombie or nobody. */
async function sessionOf(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The name in field 2 may contain anything, also spaces and brackets.
  const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return session === undefined || state === 'Z' || state === 'X' ? undefined : Number(session)
}

async function exists(pid: number): Promise<boolean> {
  return access(`/proc/${pid}`).then(
    () => true,
    () => false,
  )
}

async function ignoresHangUp(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const mask = /^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'
  return (BigInt(`0x${mask}`) & IGNORES_SIGHUP) !== 0n
}
