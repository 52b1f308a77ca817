import type { Config, SupervisorConfig } from '../config.ts'
import type { Log } from '../log.ts'
import type { ProcessService } from '../process/service.ts'
import type { CommandDeps } from './command.ts'
import type { LeftoverOptions } from './leftover.ts'
import type { ProbeOptions } from './ready-loop.ts'
import { recordFile } from './record.ts'
import { START_TAG } from './run.ts'
import { SHELLS } from './shell.ts'
import type { SupervisorOptions } from './supervisor.ts'
import { PACE, type Timing } from './timing.ts'

/** What the supervisor of a daemon is made of. */
export interface SupervisorDeps {
  readonly config: Pick<Config, 'supervisor' | 'cgroupRoot' | 'runDir'>
  readonly processes: Pick<ProcessService, 'run' | 'adopt'>
  /** Resolves with the first `/init` that succeeds. */
  readonly initialized: Promise<void>
  readonly log: Log
  /** Another pace than the product's, for tests. */
  readonly pace?: Partial<Timing>
}

/** The product's own ready commands, when none is given (user documents, templates): ready at once, or 20 s after the start. */
const READY_ALONE = 'sleep 0'
const READY_AFTER_START = 'sleep 20'

/** What the flags ask the supervisor to do. */
export function supervisorOptions({ config, processes, initialized, log, pace }: SupervisorDeps): SupervisorOptions {
  const { startCommand, readyCommand, live, user, workdir, env, ...given } = config.supervisor
  const timing = { ...PACE, ...timesOf(config.supervisor), ...pace }
  const commands = { processes, shells: SHELLS, user, workdir, env }
  const script = readyCommand ?? (startCommand === undefined ? READY_ALONE : READY_AFTER_START)
  return {
    // `sleep 0` without a start command tells nothing, so nothing is run for it.
    idle: startCommand === undefined && readyCommand === undefined && live.command === undefined,
    startCommand,
    ready: { probe: 'ready', tag: 'ready', script, commands },
    leftover: leftoverOf({ config, log }, { commands, grace: timing.stopGrace }),
    readyTells: readyCommand !== undefined,
    live: liveProbe(config.supervisor, commands),
    commands,
    rules: {
      mode: given.restart,
      // Without a start command there is nothing that could be started again.
      liveFailures: startCommand === undefined ? Number.POSITIVE_INFINITY : live.failures,
      timing,
    },
    oom: { cgroupRoot: config.cgroupRoot },
    mayStart: given.afterInit ? initialized : Promise.resolve(),
    log,
  }
}

function timesOf({ readyTimeout, readyAttemptTimeout, live }: SupervisorConfig) {
  return {
    readyTimeout,
    attemptTimeout: readyAttemptTimeout,
    liveInterval: live.interval,
    liveTimeout: live.timeout,
  }
}

/** The live command, else the ready command; one that was made up tells nothing. */
function liveProbe({ live, readyCommand }: SupervisorConfig, commands: CommandDeps): ProbeOptions | undefined {
  if (live.command !== undefined) return { probe: 'live', tag: 'live', script: live.command, commands }
  return readyCommand === undefined ? undefined : { probe: 'ready', tag: 'ready', script: readyCommand, commands }
}

/** Undefined: there is no start command. */
function leftoverOf(
  { config: { supervisor, runDir }, log }: Pick<SupervisorDeps, 'config' | 'log'>,
  { commands, grace }: Pick<LeftoverOptions, 'commands' | 'grace'>,
): LeftoverOptions | undefined {
  const { startCommand: script, leftover: mode } = supervisor
  if (script === undefined) return undefined
  return { script, tag: START_TAG, commands, record: recordFile(runDir, START_TAG, log), mode, grace, log }
}
