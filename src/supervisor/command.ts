import { createHash } from 'node:crypto'
import type { Cgroups } from '../cgroups/cgroups.ts'
import type { ServiceGroup } from '../cgroups/service-group.ts'
import { NEVER } from '../lib/never.ts'
import type { AdoptRequest } from '../process/adopt.ts'
import type { End } from '../process/exit-status.ts'
import { MARKER, newMarker } from '../process/family.ts'
import type { RunningProcess } from '../process/process.ts'
import type { ProcessService } from '../process/service.ts'
import { startTimeOfLeader } from '../process/terminate.ts'
import { findShell } from './shell.ts'

/** As whom, where and with which variables commands run; undefined: as the defaults are when it starts. */
export interface CommandDeps {
  readonly processes: Pick<ProcessService, 'run' | 'adopt' | 'takeRun'>
  readonly groups: Pick<Cgroups, 'makeService' | 'service'>
  readonly shells: readonly string[]
  readonly user: string | undefined
  readonly workdir: string | undefined
  readonly env: Readonly<Record<string, string>>
}

/** A script for a login shell, and how it shows. */
interface CommandSpec {
  readonly script: string
  /** In `List`. */
  readonly tag: string
  /**
   * An open standard input, and output that every client of `Connect` receives from its beginning; else end of file,
   * and no replay.
   */
  readonly interactive: boolean
  /** It is one of many: its start and end are not worth a line of the log. */
  readonly routine: boolean
}

/** A command that was started. It is not ended by anything but itself and `signal`. */
export interface Command {
  readonly process: RunningProcess
  /** When its leader was started (`startTimeOfLeader`); undefined: it had ended by then. */
  readonly born: Promise<string | undefined>
  /** The value of the variable `MARKER`, which whatever it starts inherits. */
  readonly marker: string
  /** The cgroup that it was to start in; undefined: none could be made for it. */
  readonly group: ServiceGroup | undefined
  /** Never rejects. */
  readonly ended: Promise<End>
  /** The last 4 KiB that it wrote, stdout and stderr as they came; also after its end. */
  output(): Buffer
}

/** What a reason shows of a command's output: a stack trace, not a log. */
const TAIL_BYTES = 4096

/**
 * Runs the script as the platform runs those of a template (contract K11, K16): `/bin/bash -l -c`, else `/bin/sh -l
 * -c`, in a session of its own. Its output has no reader, so it never blocks. Rejects with AppError as `Start` does.
 */
export async function runCommand(spec: CommandSpec, deps: CommandDeps): Promise<Command> {
  const { tag, interactive, routine } = spec
  const marker = newMarker()
  const config = await configOf(spec, interactive ? { ...deps, env: { ...deps.env, [MARKER]: marker } } : deps)
  const group = interactive ? await deps.groups.makeService(groupName(tag, marker)) : undefined
  const directory = await group?.open().catch(() => undefined)
  const kind = { terminal: undefined, stdin: interactive, replay: interactive, outlives: interactive, routine }
  try {
    const { process, reader } = await deps.processes.run(
      { config, tag, ...kind, run: interactive ? runOf(spec, marker, deps) : undefined, cgroup: directory?.fd },
      { user: deps.user, signal: NEVER, userAgent: '', header: () => undefined, keepalive: 0, deadline: undefined },
    )
    reader.close()
    return followed(process, { marker, group })
  } catch (error) {
    await group?.remove()
    throw error
  } finally {
    await directory?.close()
  }
}

/** The cgroup of one run: every run has one of its own, and the next daemon finds it by what was recorded. */
export function groupName(tag: string, marker: string): string {
  return `${tag}.${marker}`
}

/**
 * Takes over a command that an earlier daemon started by `runCommand` with the same arguments. undefined: it is not
 * there any more.
 */
export async function adoptCommand(
  spec: Pick<CommandSpec, 'script' | 'tag'>,
  { marker, ...leader }: Pick<AdoptRequest, 'pid' | 'startTime' | 'pipes'> & Pick<Command, 'marker'>,
  deps: CommandDeps,
): Promise<Command | undefined> {
  const process = await deps.processes.adopt({ ...leader, tag: spec.tag, config: await configOf(spec, deps) })
  if (process === undefined) return undefined
  return followed(process, { marker, group: deps.groups.service(groupName(spec.tag, marker)) })
}

/**
 * The run of a command that the keeper has kept for this daemon, with how it was started; it may have ended by now.
 * Undefined: there is none.
 */
export function keptCommand(
  tag: string,
  { processes, groups }: Pick<CommandDeps, 'processes' | 'groups'>,
): { readonly command: Command; readonly fingerprint: string } | undefined {
  const kept = processes.takeRun(tag)
  if (kept === undefined) return undefined
  const { marker, fingerprint } = kept.run
  return { command: followed(kept.process, { marker, group: groups.service(groupName(tag, marker)) }), fingerprint }
}

function runOf({ script, tag: service }: CommandSpec, marker: string, deps: CommandDeps) {
  return { service, marker, fingerprint: fingerprintOf(script, deps) }
}

/** Distinguishes commands; a hash, as the variables may be secrets. */
export function fingerprintOf(
  script: string,
  { user, workdir, env }: Pick<CommandDeps, 'user' | 'workdir' | 'env'>,
): string {
  const variables = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))
  return createHash('sha256')
    .update(JSON.stringify([script, user, workdir, variables]))
    .digest('hex')
}

async function configOf({ script }: Pick<CommandSpec, 'script'>, { shells, env, workdir }: CommandDeps) {
  return { cmd: await findShell(shells), args: ['-l', '-c', script], envs: env, cwd: workdir }
}

function followed(process: RunningProcess, { marker, group }: Pick<Command, 'marker' | 'group'>): Command {
  let last: Buffer | undefined
  process.output.onClose = () => {
    last = process.output.tail(TAIL_BYTES)
  }
  const born = startTimeOfLeader(process.leader)
  return { process, born, marker, group, ended: process.ended, output: () => last ?? process.output.tail(TAIL_BYTES) }
}
