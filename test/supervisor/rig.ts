import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createByteBudget } from '../../src/budget/budget.ts'
import type { RestartMode, SupervisorConfig } from '../../src/config/supervisor.ts'
import { readConfig } from '../../src/config.ts'
import type { Log, LogFields } from '../../src/log.ts'
import { endAll } from '../../src/process/end-all.ts'
import { Registry } from '../../src/process/registry.ts'
import { createProcessService, type ProcessService } from '../../src/process/service.ts'
import { supervisorOptions } from '../../src/supervisor/settings.ts'
import type { Status } from '../../src/supervisor/status.ts'
import { Supervisor } from '../../src/supervisor/supervisor.ts'
import type { Timing } from '../../src/supervisor/timing.ts'
import { launchDeps } from '../_util/launch-deps.ts'
import { self } from '../_util/self.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** A hundredth of the product's pace. */
const FAST: Partial<Timing> = {
  readyTimeout: 20_000,
  attemptTimeout: 10_000,
  firstPause: 1,
  maxPause: 20,
  // Switched off: most tests count what they run.
  liveInterval: 0,
  firstBackOff: 10,
  maxBackOff: 300,
  healthy: 600,
  breakerWindow: 60_000,
  stopGrace: 500,
}

export interface RigOptions extends Partial<SupervisorConfig> {
  readonly restart?: RestartMode
  readonly pace?: Partial<Timing>
  /** Default: now. */
  readonly initialized?: Promise<void>
  readonly cgroupRoot?: string
}

/** A supervisor with real processes, in the test's own process. Disposing ends all of them. */
export interface Rig extends AsyncDisposable {
  readonly supervisor: Supervisor
  readonly processes: ProcessService
  /** A directory that commands may write to. */
  readonly dir: string
  /** Every status since `begin`. */
  readonly history: readonly Status[]
  readonly logged: readonly { readonly level: string; readonly fields: LogFields; readonly message: string }[]
  /** Waits for a status in this state after those that were awaited before; throws if another final one comes. */
  reaches(state: Status['state']): Promise<Status>
}

/**
 * Begins at once. Commands run in `dir`, which is their home as well: no profile of the machine's user slows them down.
 */
export async function createRig(options: RigOptions = {}): Promise<Rig> {
  const { pace, initialized = Promise.resolve(), cgroupRoot = '/nowhere', ...given } = options
  const dir = await makeTmpDir()
  const devNull = await open('/dev/null', 'r')
  const registry = new Registry()
  const { log, logged } = recording()
  const processes = createService(registry, devNull, log)
  const config = { ...plainConfig(), workdir: dir.path, ...given, env: { HOME: dir.path, ...given.env } }
  const supervisor = new Supervisor(
    supervisorOptions({
      config: { cgroupRoot, runDir: dir.path },
      service: config,
      processes,
      groups: { makeService: async () => undefined, service: () => undefined },
      initialized,
      log,
      pace: { ...FAST, ...pace },
    }),
  )
  const over = new AbortController()
  const history: Status[] = []
  const collecting = collect(supervisor, history, over.signal)
  supervisor.begin()
  let seen = 0
  const reaches = async (state: Status['state']) => {
    for (;;) {
      for (; seen < history.length; seen++) {
        const status = history[seen]
        if (status?.state !== state) continue
        seen++
        return status
      }
      await collecting.next()
    }
  }
  return {
    supervisor,
    processes,
    dir: dir.path,
    history,
    logged,
    reaches,
    async [Symbol.asyncDispose]() {
      supervisor.close()
      over.abort()
      await endAll(registry)
      await devNull.close()
      await dir[Symbol.asyncDispose]()
    },
  }
}

const own = await self()

function plainConfig(): SupervisorConfig {
  const command = readConfig(['-isnotfc'], {})
  if (command.kind !== 'run') throw new Error('no configuration')
  const [start] = command.config.services
  if (start === undefined) throw new Error('no start command')
  return start
}

function createService(registry: Registry, devNull: FileHandle, log: Log): ProcessService {
  return createProcessService({
    ...launchDeps(own, devNull.fd, process.env['PATH']),
    registry,
    budget: createByteBudget(2 ** 20),
    gate: { enter: async () => () => {} },
    outputResume: true,
    log,
  })
}

function recording() {
  const logged: { level: string; fields: LogFields; message: string }[] = []
  const at = (level: string) => (fields: LogFields, message: string) => {
    logged.push({ level, fields, message })
  }
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), named: () => log }
  return { log, logged }
}

/** Adds every status to `history`; `next` resolves when there is one more. */
function collect(supervisor: Supervisor, history: Status[], signal: AbortSignal): { next(): Promise<void> } {
  const watcher = supervisor.watch()
  let more = Promise.withResolvers<void>()
  const run = async () => {
    for (;;) {
      const status = await watcher.next(60_000, signal)
      if (status === undefined) continue
      history.push(status)
      more.resolve()
      more = Promise.withResolvers<void>()
    }
  }
  run().catch(() => watcher.close())
  return { next: () => more.promise }
}

/** The path of a file in the rig's directory. */
export function fileIn(rig: Rig, name: string): string {
  return join(rig.dir, name)
}

/** A script's beginning that counts its runs in the file `runs`; `${COUNT} 2 ]` is true from the third run on. */
export const COUNT = 'echo run >> runs; [ $(wc -l < runs) -gt'

/** How often a script with `COUNT` was run in that directory. */
export async function runsOf(dir: string): Promise<number> {
  return (await readFile(join(dir, 'runs'), 'utf8')).split('\n').length - 1
}
