import { setTimeout as delay } from 'node:timers/promises'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { NEVER } from '../lib/never.ts'
import { listPids, statOf } from '../lib/proc-pid.ts'
import type { RunningProcess } from '../process/process.ts'
import type { Registry } from '../process/registry.ts'
import type { SignalName } from '../process/terminate.ts'
import { hasEnded } from './ended.ts'

/** How to end a process. */
interface KillPlan {
  readonly signal: SignalName
  /** Milliseconds after which SIGKILL follows; 0: it does not. */
  readonly grace: number
  readonly scope: 'session' | 'leader'
}

/** A process that hangs in the kernel does not end by SIGKILL: the answer says that it runs. */
const KILL_LIMIT_MS = 3_000

/** Files of /proc that are read at a time. */
const LANES = 16

/** How often a session is looked at that a signal is to end: nothing reports its last member. */
const LOOK_MS = 20

/**
 * Signals a process and waits for its end, and with its session for the end of every process in it that does not ignore
 * SIGHUP: at most for the grace, after which SIGKILL follows. Rejects with `permission_denied`, or the reason of the
 * caller's signal.
 */
export async function killAndWait(
  process: RunningProcess,
  { signal, grace, scope }: KillPlan,
  { registry, caller }: { readonly registry: Registry; readonly caller: AbortSignal },
): Promise<void> {
  const send = async (name: SignalName) => {
    const { refused, others } = process.signal(name, NEVER, undefined, scope)
    if (refused !== undefined) throw refused
    await others
  }
  const isOver = async (milliseconds: number) => {
    const until = performance.now() + milliseconds
    if (!(await hasEnded(process, registry, { milliseconds, signal: caller }))) return false
    // Without a limit the end of the leader is the end.
    return scope === 'leader' || milliseconds === Number.POSITIVE_INFINITY || isEmpty(process, until, caller)
  }
  await send(signal)
  if (signal === 'SIGKILL') return void (await isOver(KILL_LIMIT_MS))
  if (await isOver(grace === 0 ? Number.POSITIVE_INFINITY : grace)) return
  await send('SIGKILL')
  await isOver(KILL_LIMIT_MS)
}

/** Whether the session of a process that has ended is empty before `until`, but for those that ignore SIGHUP. */
async function isEmpty(process: RunningProcess, until: number, caller: AbortSignal): Promise<boolean> {
  while (await process.hasSession()) {
    if (performance.now() >= until) return false
    await delay(LOOK_MS, undefined, { signal: caller })
  }
  return true
}

/** The pids of a session, in ascending order, zombies excepted. */
export async function sessionOf(leader: number): Promise<number[]> {
  const members: number[] = []
  await forEachLimited(await listPids(), LANES, async (pid) => {
    if ((await statOf(pid))?.session === leader) members.push(pid)
  })
  return members.sort((one, other) => one - other)
}
