import { setTimeout as sleep } from 'node:timers/promises'
import { raceAbort } from '../lib/race-abort.ts'
import { endFamily } from '../process/family.ts'
import type { RunningProcess } from '../process/process.ts'
import { sessionExists } from '../process/terminate.ts'
import type { Command } from './command.ts'
import { relativesOf } from './relatives.ts'

/**
 * First and longest pause between two looks at what is left: the kernel reports the end of a leader, not of a session.
 */
const FIRST_LOOK_MS = 20
const MAX_LOOK_MS = 500

/** After SIGKILL a process that hangs in the kernel is waited for this long. */
const KILL_GRACE_MS = 2_000

/**
 * Ends a command with its session (`stopSession`), and then what it started in sessions of its own: what is in its
 * cgroup, what is below it, and what carries its marker. Those have at least half a second between SIGTERM and SIGKILL.
 * Its cgroup is removed.
 */
export async function stopCommand({ process, born, marker, group }: Command, grace: number): Promise<void> {
  const began = performance.now()
  const relatives = relativesOf({ pid: process.pid, startTime: await born, marker }, group)
  // A process whose parent ends becomes a child of init or of the daemon.
  const family = await relatives.list()
  await stopSession(process, grace)
  await endFamily(family, relatives, grace - (performance.now() - began))
  await group?.remove()
}

/**
 * Ends a command with its session: SIGTERM, and SIGKILL for what is left after `grace` milliseconds. Resolves when
 * no process is left, or 2 s after SIGKILL. What ignores SIGHUP is left alone, as by every kill.
 */
async function stopSession(process: RunningProcess, grace: number): Promise<void> {
  if (!(await sessionExists(process.leader))) return
  if (await endsWithin(process, 'SIGTERM', grace)) return
  await endsWithin(process, 'SIGKILL', KILL_GRACE_MS)
}

async function endsWithin(process: RunningProcess, signal: 'SIGTERM' | 'SIGKILL', time: number): Promise<boolean> {
  const timeUp = AbortSignal.timeout(time)
  try {
    await process.signal(signal, timeUp).others
    await raceAbort(process.ended, timeUp)
    for (let pause = FIRST_LOOK_MS; await sessionExists(process.leader); pause = Math.min(pause * 2, MAX_LOOK_MS))
      await sleep(pause, undefined, { signal: timeUp, ref: false })
    return true
  } catch (error) {
    if (timeUp.aborted) return false
    throw error
  }
}
