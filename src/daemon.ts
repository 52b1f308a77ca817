import { type FileHandle, open } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { createByteBudget } from './budget/budget.ts'
import { budgetTotal } from './budget/total.ts'
import type { Config } from './config.ts'
import { AppError } from './errors.ts'
import { readEntryInfo } from './filesystem/entry.ts'
import { createFilesystemService } from './filesystem/service.ts'
import { createAccessToken } from './http/access-token.ts'
import { buildApp } from './http/app.ts'
import { createInitialization, type InitializationOptions } from './http/initialization.ts'
import { createListener, type Listener } from './http/listener.ts'
import { orchestratorRoutes } from './http/orchestrator-routes.ts'
import { composeRoutes } from './http/routes/compose.ts'
import { envsRoute } from './http/routes/envs.ts'
import { filesRoutes } from './http/routes/files.ts'
import { freezeRoute } from './http/routes/freeze.ts'
import { healthRoute } from './http/routes/health.ts'
import { initRoute } from './http/routes/init.ts'
import { metricsRoute } from './http/routes/metrics.ts'
import { readyRoute } from './http/routes/ready.ts'
import { unfreezeRoute } from './http/routes/unfreeze.ts'
import { within } from './lib/within.ts'
import type { Log } from './log.ts'
import { createCallCounts } from './metrics/calls.ts'
import { MACHINE } from './metrics/hierarchy.ts'
import { findLimits } from './metrics/limits.ts'
import { openMachine } from './metrics/machine.ts'
import { Sampler } from './metrics/sampler.ts'
import { createMetricsService } from './metrics/service.ts'
import { listeningSockets, setClock } from './native/index.ts'
import { openCgroups } from './platform/cgroups/cgroups.ts'
import { createFilesystemFreeze } from './platform/filesystem-freeze.ts'
import { createWorkload, type Workload } from './platform/freeze/workload.ts'
import { createHost } from './platform/host/create.ts'
import type { Logs } from './platform/logs/logs.ts'
import { createLookAround } from './platform/look-around.ts'
import { createMmds, type MmdsParts, NO_MMDS } from './platform/mmds/mmds.ts'
import { Forwards } from './platform/ports/forwards.ts'
import { PortTable } from './platform/ports/port-table.ts'
import { socketReader } from './platform/ports/read-sockets.ts'
import { createPortsService } from './platform/ports/service.ts'
import { endAll } from './process/end-all.ts'
import { reapOrphans } from './process/orphans.ts'
import { OutputWindow } from './process/output-window.ts'
import { Registry } from './process/registry.ts'
import { createProcessService } from './process/service.ts'
import { SlabPool } from './process/slab-pool.ts'
import { rpcRoutes } from './rpc/routes.ts'
import { createSupervisorService } from './supervisor/service.ts'
import { type SupervisorDeps, supervisorOptions } from './supervisor/settings.ts'
import { Supervisor } from './supervisor/supervisor.ts'
import { createClock } from './system/clock.ts'
import { createDefaults, type Defaults } from './system/defaults.ts'
import { applyOwnPriority } from './system/own-priority.ts'
import { openUsers } from './system/own-user.ts'
import { writeRunDir } from './system/run-dir.ts'
import type { Users } from './system/users.ts'
import { Inotify } from './watch/inotify.ts'
import { INOTIFY_LIMITS, raiseKernelLimits } from './watch/kernel-limits.ts'
import { Pollers } from './watch/pollers.ts'
import { createWatchService, type WatchService } from './watch/service.ts'

/** A daemon that listens. */
export interface Daemon {
  readonly port: number
  /**
   * Stops it: no new connections, every stream ended with `unavailable`, commands left to init or (with kill-on-exit)
   * ended. Takes at most about 4 s; calling it again changes nothing.
   */
  close(): Promise<void>
}

/** What the run directory may take before the daemon goes on without it: programs that start at once read it. */
const RUN_DIR_WAIT_MS = 250

/** What running calls have to end in once their streams were told. */
const CLOSE_GRACE_MS = 1_500

/** Builds every part, in the order in which they need each other, and listens last. Rejects with the listen error. */
export async function startDaemon(config: Config, logs: Logs): Promise<Daemon> {
  const { log } = logs
  const stopping = new AbortController()
  const listener = createListener({ log })
  const parts = await build(config, { logs, listener, shutdown: stopping.signal })
  const { app, registry, host, sampler, ports, supervisor, mmds, rootFreeze, release } = parts
  tellPrivileges(log)
  await applyOwnPriority()
  await app.ready()
  await sampler.start()
  const stopReaping = reapOrphans(() => [...registry.list().map(({ pid }) => pid), ...host.commands.pids()], log)
  const port = await listener.listen({ address: config.address, port: config.port })
  // No disk is written before: one that is frozen may hold this up, and the thaw comes by the port.
  const written = writeRunDir({ dir: config.runDir, notFirecracker: config.notFirecracker, log })
  await within(RUN_DIR_WAIT_MS, written, stopping.signal)
  ports.start(port)
  mmds.start()
  supervisor.begin()

  const shutDown = async () => {
    supervisor.close()
    mmds.close()
    // Also lets go what waits for the disk, and would hold up the end of the process.
    const thawed = rootFreeze.close()
    // Before the streams end, so that those who watch get the last sample.
    await sampler.stop()
    stopping.abort(new AppError('unavailable', 'the daemon is stopping'))
    const closed = listener.close(CLOSE_GRACE_MS)
    // The end of process 1 is the end of every process: better that they hear of it.
    if (config.killOnExit || process.pid === 1) await endAll(registry)
    await closed
    await app.close()
    stopReaping()
    await thawed
    await release()
  }
  let closed: Promise<void> | undefined
  return {
    port,
    close: () => {
      closed ??= shutDown()
      return closed
    },
  }
}

interface Frame {
  readonly logs: Logs
  readonly listener: Listener
  readonly shutdown: AbortSignal
}

/** The features and the app in front of them. `release` gives back what they hold. */
async function build(config: Config, { logs, listener, shutdown }: Frame) {
  const { log } = logs
  const { users, user } = await openUsers(config)
  const defaults = createDefaults({ user, workdir: config.defaultWorkdir, notFirecracker: config.notFirecracker })
  const token = createAccessToken()
  const budget = createByteBudget(budgetTotal((await findLimits(MACHINE)).memory?.amount))
  const registry = new Registry()
  const devNull = await open('/dev/null', 'r')
  const files = { users, defaults, token, log: log.named('filesystem') }
  const { groups, workload, closeGroups } = await buildGroups(config, log)
  const process = createProcessService({
    users,
    defaults,
    registry,
    gate: workload.gate,
    groups,
    devNull: devNull.fd,
    log: log.named('process'),
    ...commandSettings(config),
  })
  const host = createHost({ path: config.path, env: defaults.env, log })
  const { watch, inotify, pollers } = buildWatching(users, defaults, log)
  const set = { token, defaults, machine: host, frozen: workload }
  const { initialization, mmds } = buildInitialization(config, { ...set, run: host.commands.run, logs })
  const supervisor = buildSupervisor({ config, processes: process, initialized: initialization.first, log })
  const calls = createCallCounts()
  const sampler = buildSampler({ registry, watch, inotify, log: log.named('metrics') })
  const ports = buildPorts(config, users, log.named('port-forwarder'))
  const lookAround = buildLookAround({ listener, ports, sampler, log, shutdown })
  const rootFreeze = createFilesystemFreeze({ path: '/', before: () => sampler.sampleNow(), log })
  const app = buildApp({
    log,
    token,
    users,
    serverFactory: (handler) => listener.serverFactory(handler),
    routes: [
      healthRoute,
      (scope) => readyRoute(scope, supervisor),
      (scope) => metricsRoute(scope, { sampler, calls, budget }),
      (scope) => envsRoute(scope, defaults),
      (scope) => initRoute(scope, initialization, lookAround),
      orchestratorRoutes({ rootFreeze, initialization }),
      freezeRoutes(workload, sampler),
      filesRoutes(files),
      composeRoutes(files),
      rpcRoutes({
        process,
        filesystem: createFilesystemService(files),
        watch,
        metrics: createMetricsService({ sampler }),
        ports: createPortsService(ports),
        supervisor: createSupervisorService(supervisor),
        log,
        countCall: calls.add,
        shutdown,
      }),
    ],
  })
  const release = () => releaseAll({ closeGroups, host, ports, pollers, inotify, devNull })
  return { app, registry, host, sampler, ports, supervisor, mmds, rootFreeze, release }
}

interface Held {
  readonly closeGroups: () => Promise<void>
  readonly host: { close(): Promise<void> }
  readonly ports: PortTable
  readonly pollers: Pollers
  readonly inotify: Inotify
  readonly devNull: FileHandle
}

async function releaseAll({ closeGroups, host, ports, pollers, inotify, devNull }: Held): Promise<void> {
  await closeGroups()
  await Promise.all([host.close(), ports.close()])
  pollers.close()
  inotify.close()
  await devNull.close()
}

interface Initialized extends Omit<InitializationOptions, 'clock' | 'metadata'>, Pick<MmdsParts, 'run'> {
  readonly logs: Logs
}

function buildInitialization({ notFirecracker, runDir }: Config, { run, logs, ...set }: Initialized) {
  const { log, configure, complain } = logs
  const told = { env: set.defaults.env, runDir, onOptions: configure, run, log, complain }
  const mmds = notFirecracker ? NO_MMDS : createMmds(told)
  const initialization = createInitialization({ ...set, clock: createClock({ log, setClock }), metadata: mmds })
  return { initialization, mmds }
}

interface Surroundings extends Omit<Frame, 'logs'> {
  readonly log: Log
  readonly ports: PortTable
  readonly sampler: Sampler
}

function buildLookAround({ listener, ports, sampler, log, shutdown }: Surroundings): () => void {
  const sockets = () => [...listener.connections, ...ports.clients]
  return createLookAround({ sockets, sample: () => sampler.sampleNow(), log, signal: shutdown })
}

/** The cgroups of commands, and what freezes them. */
async function buildGroups(config: Config, log: Log) {
  const groups = await openCgroups(config, log.named('cgroups'))
  const workload = await createWorkload({ root: groups.root, log: log.named('freezer') })
  const closeGroups = async () => {
    await workload.close()
    await groups.close()
  }
  return { groups, workload, closeGroups }
}

function freezeRoutes({ freeze, unfreeze }: Workload, sampler: Sampler) {
  return (scope: FastifyInstance) => {
    freezeRoute(scope, { freeze, sampleNow: () => sampler.sampleNow() })
    unfreezeRoute(scope, unfreeze)
  }
}

/** What every command gets from the configuration, and the memory for its output. */
function commandSettings({ outputWindow, path, noFile, readerStall }: Config) {
  return { window: new OutputWindow(outputWindow), pool: new SlabPool(), path, noFile, readerStall }
}

function buildWatching(users: Users, defaults: Defaults, log: Log) {
  const inotify = new Inotify({ log: log.named('filesystem'), ready: raiseKernelLimits(INOTIFY_LIMITS, log) })
  const pollers = new Pollers()
  const readEntry = (path: string) => readEntryInfo(path, users)
  return { inotify, pollers, watch: createWatchService({ users, defaults, inotify, pollers, readEntry }) }
}

interface Observed {
  readonly registry: Registry
  readonly watch: WatchService
  readonly inotify: Inotify
  readonly log: Log
}

function buildSampler({ registry, watch, inotify, log }: Observed): Sampler {
  const activity = () => {
    const { watchers, dropped } = watch.activity()
    return { commands: registry.size, watchers, watchEventsDropped: dropped, watchOverflows: inotify.overflows }
  }
  return new Sampler({ machine: openMachine(MACHINE), activity, log })
}

function buildPorts(config: Config, users: Users, log: Log): PortTable {
  const readSockets = socketReader({ diag: listeningSockets, procNet: '/proc/net' })
  return new PortTable({ readSockets, forwards: new Forwards(config.forward, log), users, log })
}

function buildSupervisor(deps: SupervisorDeps): Supervisor {
  return new Supervisor(supervisorOptions({ ...deps, log: deps.log.named('supervisor') }))
}

function tellPrivileges(log: Log): void {
  if (process.geteuid?.() === 0) return
  log.warn(
    { uid: process.geteuid?.() },
    'not running as root: every command runs as this user, other users are refused',
  )
}
