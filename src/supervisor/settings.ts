import { START, type SupervisorConfig } from '../config/supervisor.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { ProcessService } from '../process/service.ts'
import type { Probe } from './cause.ts'
import { type CommandDeps, fingerprintOf } from './command.ts'
import type { EarlierRunOptions } from './earlier-run.ts'
import { type KeptStates, keptText, readKept } from './kept-state.ts'
import type { ProbeOptions } from './ready-loop.ts'
import { recordFile } from './record.ts'
import { SHELLS } from './shell.ts'
import type { State } from './state-machine.ts'
import type { Status } from './status.ts'
import type { Supervisor, SupervisorOptions } from './supervisor.ts'
import { PACE, type Timing } from './timing.ts'

export interface SupervisorDeps {
  readonly config: Pick<Config, 'cgroupRoot' | 'runDir'>
  readonly service: SupervisorConfig
  readonly processes: Pick<ProcessService, 'run' | 'adopt' | 'takeRun'>
  readonly groups: CommandDeps['groups']
  /** Resolves with the first `/init` that succeeds. */
  readonly initialized: Promise<void>
  /** The supervisors of those services that it comes after. */
  readonly after?: readonly Supervisor[]
  readonly onChange?: (status: Status) => void
  /** Absent: nothing is kept for the next daemon. */
  readonly states?: KeptStates | undefined
  readonly log: Log
  /** Another pace than the product's, for tests. */
  readonly pace?: Partial<Timing>
}

/** The platform's own ready commands, when none is given (contract K15): ready at once, or 20 s after the start. */
const READY_ALONE = 'sleep 0'
const READY_AFTER_START = 'sleep 20'

/** What a configuration asks the supervisor to do. */
export function supervisorOptions(deps: SupervisorDeps): SupervisorOptions {
  const { config, service, processes, groups, log, pace, onChange = () => {} } = deps
  const { name, startCommand, readyCommand, live, user, workdir, env } = service
  const timing = { ...PACE, ...timesOf(service), ...pace }
  const commands = { processes, groups, shells: SHELLS, user, workdir, env }
  return {
    service: name,
    tag: name,
    // `sleep 0` without a start command shows nothing, so nothing is run for it.
    idle: startCommand === undefined && readyCommand === undefined && live.command === undefined,
    startCommand,
    ready: readyProbe(service, commands),
    leftover: leftoverOf(deps, { commands, grace: timing.stopGrace }),
    isReadyConfigured: readyCommand !== undefined,
    live: liveProbe(service, commands),
    commands,
    rules: {
      mode: service.restart,
      // Without a start command there is nothing that could be started again.
      liveFailures: startCommand === undefined ? Number.POSITIVE_INFINITY : live.failures,
      timing,
    },
    oom: { cgroupRoot: config.cgroupRoot },
    kept: keptOf(deps, commands),
    ...waitOf(deps),
    log,
    onChange,
  }
}

/** Undefined: there is no start command. */
function keptOf({ service: { name, startCommand }, states }: SupervisorDeps, commands: CommandDeps) {
  if (startCommand === undefined || states === undefined) return undefined
  const fingerprint = fingerprintOf(startCommand, commands)
  return {
    read: () => readKept(states.read(name), fingerprint),
    write: (state: State) => states.write(name, keptText(state, fingerprint)),
  }
}

/** Until when it waits, and for what at the moment. */
function waitOf({
  service,
  initialized,
  after = [],
}: SupervisorDeps): Pick<SupervisorOptions, 'mayStart' | 'waitsFor'> {
  let init = service.afterInit
  const first = init ? initialized : Promise.resolve()
  void first.then(() => {
    init = false
  })
  const missing = new Set(after)
  const ready = after.map((other) => other.firstReady.then(() => void missing.delete(other)))
  return {
    mayStart: Promise.all([first, ...ready]).then(() => {}),
    waitsFor: () => {
      if (init) return 'the first /init'
      return missing.size > 0 ? [...missing].map(({ service }) => service).join(', ') : 'what an earlier daemon left'
    },
  }
}

/**
 * The start command's has a default, as templates know it (contract K15); another service is ready once it is started.
 */
function readyProbe({ name, startCommand, readyCommand }: SupervisorConfig, commands: CommandDeps) {
  const otherwise = startCommand === undefined ? READY_ALONE : READY_AFTER_START
  const script = readyCommand ?? (name === START ? otherwise : undefined)
  return script === undefined ? undefined : probeOf('ready', script, { name, commands })
}

/** The live command, else the ready command; one that was made up shows nothing. */
function liveProbe({ name, live, readyCommand }: SupervisorConfig, commands: CommandDeps): ProbeOptions | undefined {
  if (live.command !== undefined) return probeOf('live', live.command, { name, commands })
  return readyCommand === undefined ? undefined : probeOf('ready', readyCommand, { name, commands })
}

function probeOf(
  probe: Probe,
  script: string,
  { name, commands }: { name: string; commands: CommandDeps },
): ProbeOptions {
  // A name has no dot, so no other service has this tag.
  return { probe, tag: name === START ? probe : `${name}.${probe}`, script, commands }
}

function timesOf({ readyTimeout, readyAttemptTimeout, live }: SupervisorConfig) {
  return {
    readyTimeout,
    attemptTimeout: readyAttemptTimeout,
    liveInterval: live.interval,
    liveTimeout: live.timeout,
  }
}

/** Undefined: there is no start command. */
function leftoverOf(
  { config, service, log }: SupervisorDeps,
  { commands, grace }: Pick<EarlierRunOptions, 'commands' | 'grace'>,
): EarlierRunOptions | undefined {
  const { name, startCommand: script, leftover: mode } = service
  if (script === undefined) return undefined
  return { script, tag: name, commands, record: recordFile(config.runDir, name, log), mode, grace, log }
}
