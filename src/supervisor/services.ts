import { START } from '../config/supervisor.ts'
import type { Config } from '../config.ts'
import { AppError } from '../errors.ts'
import { type SupervisorDeps, supervisorOptions } from './settings.ts'
import type { Status } from './status.ts'
import { StatusFeed, type StatusSubscription } from './status-feed.ts'
import { Supervisor } from './supervisor.ts'

/** What the services of a daemon are made of. */
export type ServicesDeps = Omit<SupervisorDeps, 'config' | 'service' | 'after' | 'onChange'> & {
  readonly config: Pick<Config, 'services' | 'cgroupRoot' | 'runDir'>
}

/** Every service of the daemon. */
export interface Services {
  /** In an order in which each comes after those that it waits for. */
  readonly all: readonly Supervisor[]
  /** The one of that name; of no name: `start`. Throws `not_found`. */
  find(name: string): Supervisor
  /** Every status of every service from now on; the caller closes the watcher. */
  watchAll(): StatusSubscription
  /** The status that `/ready` returns: of the first that is not ready of those that count (`Supervisor.counts`). */
  readonly status: Status
  /** From now on each starts as soon as it may. */
  begin(): void
  /** Starts nothing any more and leaves what runs. Idempotent. */
  close(): void
  /** Ends them with SIGTERM, those first that no other waits for. Resolves when all have ended or the signal aborts. */
  terminate(signal: AbortSignal): Promise<void>
}

/** Makes the services of a configuration; nothing starts before `begin`. */
export function createServices({ config, ...deps }: ServicesDeps): Services {
  const feed = new StatusFeed()
  const onChange = (status: Status) => feed.publish(status)
  const byName = new Map<string, Supervisor>()
  const depths = new Map<Supervisor, number>()
  for (const service of config.services) {
    const after = service.after.flatMap((name) => byName.get(name) ?? [])
    const supervisor = new Supervisor(supervisorOptions({ ...deps, config, service, after, onChange }))
    byName.set(service.name, supervisor)
    depths.set(supervisor, 1 + Math.max(0, ...after.map((other) => depths.get(other) ?? 0)))
  }
  const all = [...byName.values()]
  const find = (name: string): Supervisor => {
    const found = byName.get(name === '' ? START : name)
    if (found === undefined) throw new AppError('not_found', `no service is named "${name}"`)
    return found
  }
  return {
    all,
    find,
    watchAll: () => feed.subscribe(),
    get status() {
      const unready = all.find(({ counts, status }) => counts && status.state !== 'ready')
      return unready?.status ?? { ...find(START).status, state: 'ready' }
    },
    begin: () => {
      for (const supervisor of all) supervisor.begin()
    },
    close: () => {
      for (const supervisor of all) supervisor.close()
    },
    async terminate(signal) {
      for (const depth of [...new Set(depths.values())].sort((a, b) => b - a)) {
        const level = all.filter((supervisor) => depths.get(supervisor) === depth)
        await Promise.all(level.map((supervisor) => supervisor.terminate(signal)))
      }
    },
  }
}
