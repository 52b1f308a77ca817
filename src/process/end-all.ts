import { raceAbort } from '../lib/race-abort.ts'
import type { RunningProcess } from './process.ts'
import type { Registry } from './registry.ts'

/** How long commands have to end after SIGTERM before SIGKILL follows. */
const TERM_GRACE_MS = 1_500

/** How long the daemon waits for them after SIGKILL before it exits. */
const KILL_GRACE_MS = 500

/**
 * Ends every command and its session: SIGTERM, then SIGKILL for what is left. Returns when all have ended or time is
 * up.
 */
export async function endAll(registry: Registry): Promise<void> {
  await signalAll(registry, 'SIGTERM', TERM_GRACE_MS)
  await signalAll(registry, 'SIGKILL', KILL_GRACE_MS)
}

async function signalAll(registry: Registry, signal: 'SIGTERM' | 'SIGKILL', graceMs: number): Promise<void> {
  const processes = registry.list()
  if (processes.length === 0) return
  const timeUp = AbortSignal.timeout(graceMs)
  const done = Promise.all(processes.map((process) => endOf(process, signal, timeUp)))
  await raceAbort(done, timeUp).catch((error: unknown) => {
    if (!timeUp.aborted) throw error
  })
}

async function endOf(process: RunningProcess, signal: 'SIGTERM' | 'SIGKILL', timeUp: AbortSignal): Promise<void> {
  await process.signal(signal, timeUp, 'daemon_stopped').others
  await process.ended
}
