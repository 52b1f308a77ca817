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

/** Signals a process and waits for its end. Rejects with `permission_denied`, or the reason of the caller's signal. */
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
  await send(signal)
  const final = signal === 'SIGKILL'
  const patience = final ? KILL_LIMIT_MS : grace === 0 ? Number.POSITIVE_INFINITY : grace
  if (await hasEnded(process, registry, { milliseconds: patience, signal: caller })) return
  if (final) return
  await send('SIGKILL')
  await hasEnded(process, registry, { milliseconds: KILL_LIMIT_MS, signal: caller })
}

/** The pids of a session, in ascending order, zombies excepted. */
export async function sessionOf(leader: number): Promise<number[]> {
  const members: number[] = []
  await forEachLimited(await listPids(), LANES, async (pid) => {
    if ((await statOf(pid))?.session === leader) members.push(pid)
  })
  return members.sort((one, other) => one - other)
}
