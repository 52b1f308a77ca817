import { type FileHandle, open } from 'node:fs/promises'
import { capabilitiesJson } from './capabilities/rpc.ts'
import type { Cgroups } from './cgroups/cgroups.ts'
import { createFilesystemFreeze } from './cgroups/freeze/filesystem-freeze.ts'
import type { Config } from './config.ts'
import { AppError } from './errors.ts'
import { refuseForeignPages } from './http/access/foreign-pages.ts'
import { warnOfOpenPort } from './http/access/open-port.ts'
import { readTokenFile } from './http/access/token-file.ts'
import { buildApp } from './http/app/app.ts'
import { capabilitiesRoute } from './http/routes/capabilities.ts'
import { composeRoutes } from './http/routes/compose.ts'
import { envsRoute } from './http/routes/envs.ts'
import { filesRoutes } from './http/routes/files.ts'
import { healthRoute } from './http/routes/health.ts'
import { initRoute } from './http/routes/init.ts'
import { metricsRoute } from './http/routes/metrics.ts'
import { orchestratorRoutes } from './http/routes/orchestrator-routes.ts'
import { readyRoute } from './http/routes/ready.ts'
import type { Endpoint } from './http/server/bind.ts'
import { createListener, type Listener } from './http/server/listener.ts'
import { type AccessToken, createAccessToken } from './init/access-token.ts'
import { createClock } from './init/clock.ts'
import { createHost, type Host } from './init/host/create.ts'
import { createInitialization, type InitializationOptions } from './init/initialization.ts'
import { createMmds, NO_MMDS } from './init/mmds/mmds.ts'
import { type Keeper, openKeeper, type Taken } from './keeper/keeper.ts'
import { logRestart } from './keeper/log-restart.ts'
import { type KeptSandbox, restoreSandbox } from './kept-sandbox.ts'
import { LEFT_OUT } from './lib/environment.ts'
import { withTimeout } from './lib/with-timeout.ts'
import type { Log } from './log.ts'
import type { Logs } from './logs/logs.ts'
import { MACHINE } from './metrics/hierarchy.ts'
import { memoryOf, openResourceReader } from './metrics/resource-reader.ts'
import type { Sampler } from './metrics/sampler.ts'
import { setClock } from './native/index.ts'
import {
  buildActivity,
  buildBudget,
  buildCpus,
  buildDeposits,
  buildFigures,
  buildGroups,
  buildOom,
  buildPorts,
  buildSampler,
  buildServices,
  buildWatching,
  commandSettings,
  countedBy,
  fileSettings,
  freezeRoutes,
} from './parts.ts'
import { createResumeCheck } from './peers/resume-check.ts'
import type { PortTable } from './ports/port-table.ts'
import { endAll } from './process/end-all.ts'
import { reapOrphans } from './process/orphans.ts'
import { Registry } from './process/registry.ts'
import { createProcessService } from './process/service.ts'
import { untilSignalled } from './process/terminate.ts'
import { rpcRoutes } from './rpc/routes.ts'
import { rpcServices } from './rpc-services.ts'
import { applyOwnPriority } from './startup/own-priority.ts'
import { writeRunDir } from './startup/run-dir.ts'
import { createDefaults, type Defaults } from './users/defaults.ts'
import { openUsers, warnWithoutRoot } from './users/own-user.ts'
import type { Inotify } from './watch/inotify.ts'
import type { Pollers } from './watch/pollers.ts'

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

/** What services have to end in one after the other, before all that is left is ended at once. */
const SERVICES_GRACE_MS = 1_200

/** What running calls have to end in once their streams were ended. */
const CLOSE_GRACE_MS = 1_500

/** Builds every part, in the order in which they need each other, and listens last. Rejects with the listen error. */
export async function startDaemon(config: Config, logs: Logs): Promise<Daemon> {
  const { log } = logs
  const stopping = new AbortController()
  const token = createAccessToken()
  const listener = createListener({ log, token })
  const keeper = openKeeper(config.keeper, log)
  const taken = await keeper.take()
  const parts = await build(config, { logs, token, listener, shutdown: stopping.signal, keeper, taken })
  const { app, registry, host, cpus, sampler, ports, services, mmds, rootFreeze, kept, release } = parts
  warnWithoutRoot(log)
  await applyOwnPriority()
  await app.ready()
  await sampler.start()
  const children = () => [...registry.list().map(({ pid }) => pid), ...host.commands.pids(), ...cpus.pids()]
  const stopReaping = reapOrphans(children, log)
  const port = await listener.listen(endpointOf(config), kept.sockets)
  kept.begin(() => listener.descriptors)
  keeper.up()
  logRestart(taken, log)
  // No disk is written before: one that is frozen may hold this up, and the thaw comes by the port.
  const written = writeRunDir({ dir: config.runDir, notFirecracker: config.notFirecracker, log })
  await withTimeout(RUN_DIR_WAIT_MS, written, stopping.signal)
  warnOfOpenPort({ ...config, token }, log)
  ports.start(port)
  mmds.start()
  void cpus.resume()
  services.begin()

  const shutDown = async () => {
    keeper.leave()
    kept.end()
    services.close()
    mmds.close()
    // Also lets go what waits for the disk, and would hold up the end of the process.
    const thawed = rootFreeze.close()
    // Before the streams end, so that those who watch get the last sample.
    await sampler.stop()
    stopping.abort(new AppError('unavailable', 'the daemon is stopping'))
    const closed = listener.close(CLOSE_GRACE_MS)
    // The end of process 1 is the end of every process: better that they hear of it.
    if (config.killOnExit || process.pid === 1 || keeper.isInit) {
      if (services.all.length > 1) await services.terminate(AbortSignal.timeout(SERVICES_GRACE_MS))
      await endAll(registry)
    }
    // What a client sees as killed is killed.
    await untilSignalled()
    await closed
    await app.close()
    stopReaping()
    await thawed
    await release()
    keeper.close()
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

function endpointOf({ address, port }: Config): Endpoint {
  return { address, port }
}

interface Frame {
  readonly logs: Logs
  readonly token: AccessToken
  readonly listener: Listener
  readonly shutdown: AbortSignal
  readonly keeper: Keeper
  readonly taken: Taken
}

/** The features and the app in front of them. `release` closes them. */
async function build(config: Config, { logs, token, listener, shutdown, keeper, taken }: Frame) {
  const { log } = logs
  const { users, user } = await openUsers(config)
  const defaults = buildDefaults(config, user, log)
  if (config.accessTokenFile !== undefined) token.set(await readTokenFile(config.accessTokenFile, log))
  const kept = restoreSandbox({ keeper, taken, endpoint: endpointOf(config), token, defaults, log })
  const registry = new Registry(config.keepExits)
  const devNull = await open('/dev/null', 'r')
  const resources = openResourceReader(MACHINE)
  const memory = await memoryOf(resources)
  const { budget, bodies } = buildBudget(config, memory.total, { token, defaults })
  const files = { users, defaults, token, budget, bodies, ...fileSettings(config, log) }
  const { groups, workload, protection, closeGroups } = await buildGroups(config, memory, log)
  const oom = await buildOom(config, groups.root, log.named('metrics'))
  const { deposits, left } = buildDeposits(keeper, taken, log)
  const process = createProcessService({
    ...{ users, defaults, registry, budget, groups, deposits },
    ...{ gate: workload.gate, oom: oom.witness, devNull: devNull.fd },
    ...commandSettings(config, log),
  })
  process.restore(left)
  const host = createHost({ path: config.path, env: defaults.env, log })
  const { watch, inotify, pollers } = buildWatching(config, { users, defaults, budget, log })
  const cpus = await buildCpus(config, devNull.fd, log)
  const initialized = { token, defaults, host, frozen: workload, cpus, logs, kept }
  const { initialization, mmds } = buildInitialization(config, initialized)
  const services = buildServices({ config, processes: process, groups, initialized: initialization.first, log })
  const ports = buildPorts(config, users, log.named('port-forwarder'))
  const { streams, transfers, observer, onSample } = buildActivity(registry, ports)
  const sampler = buildSampler({ resources, registry, watch, inotify, onSample, log: log.named('metrics') })
  const figures = buildFigures(cpus, oom.kills)
  const checkAfterResume = buildResumeCheck({ listener, ports, sampler, groups, logs, shutdown })
  const rootFreeze = createFilesystemFreeze({ path: '/', before: () => sampler.sampleNow(), log })
  const features = { process, files, watch, sampler, ports, services }
  const served = rpcServices(config, { ...features, groups, registry, keeper, observer })
  const app = buildApp({
    log,
    token,
    users,
    onTokenShown: listener.showedToken,
    serverFactory: (handler) =>
      listener.serverFactory(refuseForeignPages(handler, { config, isProtected: () => token.isSet, log })),
    routes: [
      healthRoute,
      (scope) => capabilitiesRoute(scope, () => capabilitiesJson(served.capabilities)),
      (scope) => readyRoute(scope, services, observer.status),
      (scope) => metricsRoute(scope, { sampler, ...figures, budget, idleSeconds: () => observer.status().idleSeconds }),
      (scope) => envsRoute(scope, defaults),
      (scope) => initRoute(scope, { initialization, bodies, memory: protection, checkAfterResume }),
      orchestratorRoutes({ rootFreeze, initialization }),
      freezeRoutes(workload, sampler, logs),
      filesRoutes({ ...files, onTransfer: transfers.begin }),
      composeRoutes(files),
      rpcRoutes({
        ...{ bodies, budget, compressors: files.compressors, log, shutdown },
        ...{ services: served.tables, streams, countCall: countedBy(figures.calls, observer) },
      }),
    ],
  })
  const release = () => releaseAll({ closeGroups, host, cpus, oom, ports, pollers, inotify, devNull })
  return { app, registry, host, cpus, sampler, ports, services, mmds, rootFreeze, kept, release }
}

function buildDefaults({ defaultWorkdir: workdir, notFirecracker }: Config, user: string, log: Log): Defaults {
  const onUnusable = (count: number) => log.warn({ count }, LEFT_OUT)
  return createDefaults({ user, workdir, notFirecracker, onUnusable })
}

interface Held {
  readonly closeGroups: () => Promise<void>
  readonly host: { close(): Promise<void> }
  readonly cpus: { close(): Promise<void> }
  readonly ports: PortTable
  readonly pollers: Pollers
  readonly inotify: Inotify
  readonly oom: { close(): Promise<void> }
  readonly devNull: FileHandle
}

async function releaseAll(held: Held): Promise<void> {
  const { closeGroups, host, cpus, oom, ports, pollers, inotify, devNull } = held
  await closeGroups()
  await Promise.all([host.close(), cpus.close(), ports.close(), oom.close()])
  pollers.close()
  inotify.close()
  await devNull.close()
}

interface Initialized extends Pick<InitializationOptions, 'token' | 'defaults' | 'frozen' | 'cpus'> {
  readonly kept: Pick<KeptSandbox, 'progress' | 'applied'>
  readonly host: Host
  readonly logs: Logs
}

function buildInitialization({ notFirecracker, runDir }: Config, { host, logs, kept, ...set }: Initialized) {
  const { log, configure, writeStderr } = logs
  const parts = { env: set.defaults.env, runDir, onOptions: configure, run: host.commands.run, log, writeStderr }
  const mmds = notFirecracker ? NO_MMDS : createMmds(parts)
  const clock = createClock({ log, setClock })
  const initialization = createInitialization({
    ...{ ...set, host, clock, metadata: mmds, log },
    ...{ progress: kept.progress, onApplied: kept.applied },
  })
  return { initialization, mmds }
}

interface Surroundings extends Pick<Frame, 'listener' | 'shutdown' | 'logs'> {
  readonly ports: PortTable
  readonly sampler: Sampler
  readonly groups: Cgroups
}

function buildResumeCheck({ listener, ports, sampler, groups, logs, shutdown }: Surroundings): () => void {
  const sockets = () => [...listener.connections, ...ports.clients]
  const sample = async () => {
    await sampler.sampleNow()
    const { memTotal, memUsed } = sampler.latest()
    await groups.keepBack({ total: memTotal, used: memUsed })
  }
  return createResumeCheck({ sockets, sample, logs, signal: shutdown })
}
