import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { NEVER } from '../lib/never.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { FailedAttempt, Probe } from './cause.ts'
import { type CommandDeps, runCommand } from './command.ts'
import type { Timing } from './timing.ts'

/** A ready or live command and how to run it. */
export interface ProbeOptions {
  readonly probe: Probe
  /** In `List`. */
  readonly tag: string
  readonly script: string
  readonly commands: CommandDeps
}

/** What became of the wait for readiness: `took` is milliseconds of the attempt that succeeded. */
export type Readiness =
  | { readonly ready: true; readonly took: number }
  | { readonly ready: false; readonly attempt: FailedAttempt }

/**
 * Runs the ready command again and again until it succeeds or time is up. Each failure is passed to `onFailed`. Rejects
 * with the signal's reason when that aborts. No attempt outlives the call.
 */
export async function untilReady(
  options: ProbeOptions & { readonly timing: Timing },
  signal: AbortSignal,
  onFailed: (attempt: FailedAttempt) => void,
): Promise<Readiness> {
  const { timing, probe } = options
  const timeUp = AbortSignal.timeout(timing.readyTimeout)
  const over = AbortSignal.any([signal, timeUp])
  let last: FailedAttempt | undefined
  try {
    for (let pause = timing.firstPause; ; pause = Math.min(pause * 2, timing.maxPause)) {
      const began = performance.now()
      const failed = await attempt({ ...options, timeout: timing.attemptTimeout }, over)
      if (failed === undefined) return { ready: true, took: performance.now() - began }
      last = failed
      onFailed(failed)
      await sleep(pause, undefined, { signal: over, ref: false })
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!timeUp.aborted) throw error
    const status = `did not end within ${timing.readyTimeout / 1000} s`
    return { ready: false, attempt: last ?? { probe, status, output: Buffer.alloc(0) } }
  }
}

/** Options of one attempt. */
export interface AttemptOptions extends ProbeOptions {
  /** In milliseconds. */
  readonly timeout: number
}

/** Runs the command once: undefined when it succeeds. Rejects with the signal's reason when that aborts. */
export async function attempt(options: AttemptOptions, signal: AbortSignal): Promise<FailedAttempt | undefined> {
  const { probe, tag, script, commands, timeout } = options
  const over = AbortSignal.any([signal, AbortSignal.timeout(timeout)])
  const command = await runCommand({ script, tag, interactive: false, routine: true }, commands).catch(textOf)
  if (typeof command === 'string') return { probe, status: command, output: Buffer.alloc(0) }
  try {
    const end = await raceAbort(command.ended, over)
    return end.exitCode === 0 ? undefined : { probe, status: end.status, output: command.output() }
  } catch {
    await command.process.signal('SIGKILL', NEVER).others
    signal.throwIfAborted()
    return { probe, status: `took longer than ${timeout / 1000} s`, output: command.output() }
  }
}

function textOf(error: unknown): string {
  return error instanceof AppError ? error.message : String(error)
}
