import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { FailedAttempt } from './cause.ts'
import { type CommandDeps, runCommand } from './command.ts'
import type { Timing } from './timing.ts'

/** A ready command and how to run it. */
export interface ReadyOptions {
  readonly script: string
  readonly commands: CommandDeps
  readonly timing: Timing
}

/** The tag of the ready command in `List`. */
const TAG = 'ready'

/**
 * Runs the ready command again and again until it succeeds (undefined), or time is up (its last failure). Each failure is
 * told to `onFailed`. Rejects with the signal's reason when that aborts. No attempt outlives the call.
 */
export async function untilReady(
  options: ReadyOptions,
  signal: AbortSignal,
  onFailed: (attempt: FailedAttempt) => void,
): Promise<FailedAttempt | undefined> {
  const { timing } = options
  const timeUp = AbortSignal.timeout(timing.readyTimeout)
  const over = AbortSignal.any([signal, timeUp])
  let last: FailedAttempt | undefined
  try {
    for (let pause = timing.firstPause; ; pause = Math.min(pause * 2, timing.maxPause)) {
      const failed = await attempt(options, over)
      if (failed === undefined) return undefined
      last = failed
      onFailed(failed)
      await sleep(pause, undefined, { signal: over, ref: false })
    }
  } catch (error) {
    signal.throwIfAborted()
    if (!timeUp.aborted) throw error
    return last ?? { status: `did not end within ${timing.readyTimeout / 1000} s`, output: Buffer.alloc(0) }
  }
}

/** Runs the ready command once: undefined when it succeeds. Rejects with the signal's reason when that aborts. */
export async function attempt(
  { script, commands, timing }: ReadyOptions,
  signal: AbortSignal,
): Promise<FailedAttempt | undefined> {
  const timeUp = AbortSignal.timeout(timing.attemptTimeout)
  const over = AbortSignal.any([signal, timeUp])
  const command = await runCommand({ script, tag: TAG, interactive: false }, commands).catch(toFailed)
  if (!('process' in command)) return command
  try {
    const end = await unlessAborted(command.ended, over)
    return end.exitCode === 0 ? undefined : { status: end.status, output: command.output() }
  } catch {
    await command.process.signal('SIGKILL', new AbortController().signal)
    signal.throwIfAborted()
    return { status: `took longer than ${timing.attemptTimeout / 1000} s`, output: command.output() }
  }
}

function toFailed(error: unknown): FailedAttempt {
  return { status: error instanceof AppError ? error.message : String(error), output: Buffer.alloc(0) }
}
