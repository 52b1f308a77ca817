import { setTimeout as sleep } from 'node:timers/promises'
import type { LeftoverMode } from '../config/supervisor.ts'
import { AppError, errnoOf } from '../errors.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { Log } from '../log.ts'
import { endFamily } from '../process/family.ts'
import { adoptCommand, type Command, type CommandDeps, fingerprintOf, groupName, keptCommand } from './command.ts'
import type { LeaderRecord, RecordFile } from './record.ts'
import { relativesOf } from './relatives.ts'
import { stopCommand } from './stop.ts'

/** A start command, its record, and how to treat a process that an earlier daemon left running (`-leftover`). */
export interface EarlierRunOptions {
  readonly script: string
  readonly tag: string
  readonly commands: CommandDeps
  readonly record: RecordFile
  readonly mode: LeftoverMode
  /** See `stopCommand`. */
  readonly grace: number
  readonly log: Log
}

/**
 * Limit for reading the record, from a run directory that hangs or for want of descriptors; long, as without the record
 * a second one may be started.
 */
const READ_LIMIT_MS = 10_000

/** Between two looks at what could not be looked at. */
const RETRY_MS = 200

/**
 * Takes over the start command that an earlier daemon left running; undefined if there is none. One with the mode
 * `end`, or that was started from other settings, is ended first. What the keeper has kept is taken before the record
 * is asked: it knows of every run whose program was executed, also of one that has ended since. Rejects with the
 * signal's reason.
 */
export async function takeOverEarlierRun(
  options: EarlierRunOptions,
  signal: AbortSignal,
): Promise<Command | undefined> {
  const { script, tag, commands, grace } = options
  const kept = keptCommand(tag, commands)
  if (kept !== undefined) return adoptOrEnd(kept.command, kept.fingerprint, options)
  const record = await readRecord(options, signal)
  if (record === undefined) return undefined
  const { leader, pipes, marker, fingerprint } = record
  const adopt = () => adoptCommand({ script, tag }, { ...leader, pipes, marker }, commands)
  // As long as it is not known whether it lives, no second one is started.
  const command = await untilTold(adopt, Number.POSITIVE_INFINITY, signal)
  if (command === undefined) {
    // Its leader is gone, and what it left may hold its port.
    const group = commands.groups.service(groupName(tag, marker))
    const relatives = relativesOf({ ...leader, marker }, group)
    await endFamily(await relatives.list(), relatives, grace)
    await group?.remove()
    return undefined
  }
  return adoptOrEnd(command, fingerprint, options)
}

async function adoptOrEnd(
  command: Command,
  fingerprint: string,
  { script, commands, mode, grace, log }: EarlierRunOptions,
): Promise<Command | undefined> {
  const wanted = mode === 'adopt' && fingerprint === fingerprintOf(script, commands)
  log.info({ pid: command.process.pid, adopted: wanted }, 'an earlier daemon left this command running')
  if (wanted) return command
  await stopCommand(command, grace)
  return undefined
}

/** Records a command that was just started. */
export async function keepRecord(
  { script, commands, record }: Pick<EarlierRunOptions, 'script' | 'commands' | 'record'>,
  { process, born, marker }: Command,
): Promise<void> {
  const startTime = await born
  if (startTime === undefined) return
  record.write({
    leader: { pid: process.pid, startTime },
    pipes: process.pipeInodes(),
    marker,
    fingerprint: fingerprintOf(script, commands),
  })
}

async function readRecord({ record, log }: EarlierRunOptions, signal: AbortSignal): Promise<LeaderRecord | undefined> {
  const read = await withTimeout(
    READ_LIMIT_MS,
    untilTold(() => record.read(), READ_LIMIT_MS, signal),
    signal,
  )
  signal.throwIfAborted()
  if (read === undefined) log.warn({}, 'the record of an earlier start command could not be read')
  return read === 'nothing' ? undefined : read
}

const PASSING: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])

/**
 * Repeats what fails for want of descriptors or memory, for so many milliseconds; then rejects as it does. Rejects with
 * the signal's reason.
 */
async function untilTold<T>(look: () => Promise<T>, milliseconds: number, signal: AbortSignal): Promise<T> {
  const end = performance.now() + milliseconds
  for (;;) {
    try {
      return await look()
    } catch (error) {
      signal.throwIfAborted()
      const passes = PASSING.has(errnoOf(error)) || (error instanceof AppError && error.kind === 'resource_exhausted')
      if (!passes || performance.now() >= end) throw error
      await sleep(RETRY_MS, undefined, { signal, ref: false })
    }
  }
}
