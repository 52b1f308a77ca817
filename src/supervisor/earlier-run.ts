import { createHash } from 'node:crypto'
import type { LeftoverMode } from '../config/supervisor.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { Log } from '../log.ts'
import { endFamily } from '../process/family.ts'
import { adoptCommand, type Command, type CommandDeps, groupName } from './command.ts'
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

/** Limit for reading from a run directory that hangs; long, as without the record a second one may be started. */
const READ_LIMIT_MS = 10_000

/**
 * Takes over the start command that an earlier daemon left running; undefined if there is none. One with the mode
 * `end`, or that was started from other settings, is ended first. Rejects with the signal's reason.
 */
export async function takeOverEarlierRun(
  options: EarlierRunOptions,
  signal: AbortSignal,
): Promise<Command | undefined> {
  const { script, tag, commands, mode, grace, log } = options
  const record = await readRecord(options, signal)
  if (record === undefined) return undefined
  const { leader, pipes, marker, fingerprint } = record
  const command = await adoptCommand({ script, tag }, { ...leader, pipes, marker }, commands)
  if (command === undefined) {
    // Its leader is gone, and what it left may hold its port.
    const group = commands.groups.service(groupName(tag, marker))
    const relatives = relativesOf({ ...leader, marker }, group)
    await endFamily(await relatives.list(), relatives, grace)
    await group?.remove()
    return undefined
  }
  const wanted = mode === 'adopt' && fingerprint === fingerprintOf(script, commands)
  log.info({ pid: leader.pid, adopted: wanted }, 'an earlier daemon left this command running')
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
  const read = await withTimeout(READ_LIMIT_MS, record.read(), signal)
  signal.throwIfAborted()
  if (read === undefined) log.warn({}, 'the record of an earlier start command could not be read')
  return read === 'nothing' ? undefined : read
}

/** Distinguishes commands; a hash, as the variables may be secrets. */
function fingerprintOf(script: string, { user, workdir, env }: CommandDeps): string {
  const variables = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([script, user, workdir, variables]))
    .digest('hex')
}
