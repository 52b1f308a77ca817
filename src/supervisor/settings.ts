import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { ProcessService } from '../process/service.ts'
import { SHELLS } from './shell.ts'
import type { SupervisorOptions } from './supervisor.ts'
import { PACE, type Timing } from './timing.ts'

/** What the supervisor of a daemon is made of. */
export interface SupervisorDeps {
  readonly config: Pick<Config, 'supervisor' | 'cgroupRoot'>
  readonly processes: Pick<ProcessService, 'run'>
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
  const { startCommand, readyCommand, user, workdir, env, ...given } = config.supervisor
  const timing = { ...PACE, readyTimeout: given.readyTimeout, attemptTimeout: given.readyAttemptTimeout, ...pace }
  const commands = { processes, shells: SHELLS, user, workdir, env }
  const script = readyCommand ?? (startCommand === undefined ? READY_ALONE : READY_AFTER_START)
  return {
    // `sleep 0` without a start command tells nothing, so nothing is run for it.
    idle: startCommand === undefined && readyCommand === undefined,
    startCommand,
    ready: { script, commands, timing },
    readyTells: readyCommand !== undefined,
    commands,
    rules: { mode: given.restart, timing },
    oom: { cgroupRoot: config.cgroupRoot },
    mayStart: given.afterInit ? initialized : Promise.resolve(),
    log,
  }
}
