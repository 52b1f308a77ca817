import { type FileHandle, open } from 'node:fs/promises'
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
  buildSearches,
  buildServices,
  buildUploads,
  buildWatching,
  commandSettings,
  fileSettings,
} from './build-parts.ts'
import type { Cgroups } from './cgroups/cgroups.ts'
import { createFilesystemFreeze } from './cgroups/freeze/filesystem-freeze.ts'
import type { Config } from './config.ts'
import { readTokenFile } from './http/access/token-file.ts'
import type { Endpoint } from './http/server/bind.ts'
import type { Listener } from './http/server/listener.ts'
import type { AccessToken } from './init/access-token.ts'
import { createClock } from './init/clock.ts'
import { createHost, type Host } from './init/host/create.ts'
import { createInitialization, type InitializationOptions } from './init/initialization.ts'
import { createMmds, NO_MMDS } from './init/mmds/mmds.ts'
import type { Keeper, Taken } from './keeper/keeper.ts'
import { type KeptSandbox, restoreSandbox } from './kept-sandbox.ts'
import { LEFT_OUT } from './lib/environment.ts'
import type { Log } from './log.ts'
import type { Logs } from './logs/logs.ts'
import type { MemoryAtStart, ResourceReader } from './metrics/resource-reader.ts'
import type { Sampler } from './metrics/sampler.ts'
import { setClock } from './native/index.ts'
import { createResumeCheck } from './peers/resume-check.ts'
import type { PortTable } from './ports/port-table.ts'
import { Registry } from './process/registry.ts'
import { createProcessService } from './process/service.ts'
import type { Uploads } from './uploads/uploads.ts'
import { createDefaults, type Defaults } from './users/defaults.ts'
import { openUsers } from './users/own-user.ts'
import type { ChangeCursors } from './watch/change-cursors.ts'
import type { Inotify } from './watch/inotify.ts'
import type { Pollers } from './watch/pollers.ts'

/** What there is before the features: the caller made it, and ends it. */
export interface Frame {
  readonly logs: Logs
  readonly token: AccessToken
  readonly listener: Listener
  readonly resources: ResourceReader
  readonly memory: MemoryAtStart
  readonly shutdown: AbortSignal
  readonly keeper: Keeper
  readonly taken: Taken
}

/** What `buildFeatures` resolves with. `release` closes what the features hold. */
export type Features = Awaited<ReturnType<typeof buildFeatures>>

/** Builds the features, in the order in which they need each other; none of them does anything yet. */
export async function buildFeatures(config: Config, frame: Frame) {
  const { logs, token, listener, resources, memory, shutdown, keeper } = frame
  // What they say is not held for as long as the daemon lives.
  const taken = { ...frame.taken, deposits: frame.taken.deposits.splice(0) }
  const { log } = logs
  const { users, user } = await openUsers(config)
  const defaults = buildDefaults(config, user, log)
  if (config.accessTokenFile !== undefined) token.set(await readTokenFile(config.accessTokenFile, log))
  const kept = restoreSandbox({ keeper, taken, endpoint: endpointOf(config), token, defaults, log })
  const registry = new Registry(config.keepExits)
  const devNull = await open('/dev/null', 'r')
  const { budget, bodies } = buildBudget(config, memory.total, { token, defaults })
  const files = { users, defaults, token, budget, bodies, ...fileSettings(config, log) }
  const uploads = buildUploads(config, files)
  const { groups, workload, protection, closeGroups } = await buildGroups(config, memory, kept.freezes, log)
  const oom = await buildOom(config, groups.root, log.named('metrics'))
  const { deposits, left } = buildDeposits(config, keeper, taken, log)
  const process = createProcessService({
    ...{ users, defaults, registry, budget, groups, deposits },
    ...{ gate: workload.gate, oom: oom.witness, devNull: devNull.fd },
    ...commandSettings(config, log),
  })
  process.restore(left)
  const host = createHost({ path: config.path, env: defaults.env, log })
  const { watch, inotify, pollers, cursors } = buildWatching(config, { users, defaults, budget, keeper, taken, log })
  const cpus = await buildCpus(config, devNull.fd, log)
  const initialized = { token, defaults, host, frozen: workload, cpus, logs, kept }
  const { initialization, mmds } = buildInitialization(config, initialized)
  const supervised = { config, processes: process, groups, states: kept.services }
  const services = buildServices({ ...supervised, initialized: initialization.first, log })
  const ports = buildPorts(config, users, log.named('port-forwarder'))
  const { streams, transfers, observer, onSample } = buildActivity(registry, ports)
  const sampler = buildSampler({ resources, registry, services, watch, inotify, onSample, log: log.named('metrics') })
  const figures = buildFigures(cpus, oom.kills)
  const checkAfterResume = buildResumeCheck({ listener, ports, sampler, groups, logs, shutdown })
  const before = () => sampler.sampleNow()
  const rootFreeze = createFilesystemFreeze({ path: '/', before, kept: kept.freezes.disk, log })
  const release = () => releaseAll({ closeGroups, host, cpus, oom, ports, pollers, cursors, inotify, uploads, devNull })
  return {
    ...{ kept, registry, files, groups, workload, protection, process, host, watch, cpus, initialization, mmds },
    searches: buildSearches(groups),
    uploads,
    ...{ services, ports, streams, transfers, observer, sampler, figures, checkAfterResume, rootFreeze, release },
  }
}

/** Where the daemon listens. */
export function endpointOf({ address, port }: Config): Endpoint {
  return { address, port }
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
  readonly cursors: ChangeCursors
  readonly inotify: Inotify
  readonly uploads: Uploads
  readonly oom: { close(): Promise<void> }
  readonly devNull: FileHandle
}

async function releaseAll(held: Held): Promise<void> {
  const { closeGroups, host, cpus, oom, ports, pollers, cursors, inotify, uploads, devNull } = held
  await closeGroups()
  await Promise.all([host.close(), cpus.close(), ports.close(), oom.close()])
  pollers.close()
  cursors.close()
  inotify.close()
  uploads.close()
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
