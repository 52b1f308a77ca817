import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { createCommandCpu } from './activity/command-cpu.ts'
import { createObserver, type Observer } from './activity/observer.ts'
import { sessionTimes } from './activity/session-times.ts'
import { createTransfers } from './activity/transfers.ts'
import { type ByteBudget, createByteBudget } from './budget/budget.ts'
import { budgetTotal } from './budget/total.ts'
import type { UnreadFrames } from './budget/unread-frames.ts'
import type { FinishedCall } from './calls/finished-call.ts'
import { createOpenStreams } from './calls/open-streams.ts'
import { type Cgroups, openCgroups } from './cgroups/cgroups.ts'
import { createWorkload, type Workload } from './cgroups/freeze/workload.ts'
import { memoryProtection } from './cgroups/memory-protection.ts'
import { COMMAND_GROUPS } from './cgroups/properties.ts'
import type { MemoryUse } from './cgroups/reserve.ts'
import type { Config } from './config.ts'
import { type Cpus, NO_CPUS, openCpus } from './cpus/cpus.ts'
import { SearchProcesses } from './files/search-process.ts'
import { readEntryInfo } from './filesystem/entry.ts'
import { createFileUsers } from './filesystem/file-user.ts'
import { createRequestBodies } from './http/body/request-bodies.ts'
import { freezeRoute } from './http/routes/freeze.ts'
import { unfreezeRoute } from './http/routes/unfreeze.ts'
import { createCompressors } from './http/transfer/compressors.ts'
import { preconditionOf } from './http/transfer/conditions.ts'
import { findFileUser } from './http/transfer/file-user.ts'
import type { AccessToken } from './init/access-token.ts'
import type { Keeper, Taken } from './keeper/keeper.ts'
import { OUTPUT_KEY } from './keeper/keys.ts'
import { giveUp } from './keeper/take-over.ts'
import type { KeptFreezes } from './kept-freezes.ts'
import { keepWatchers } from './kept-watchers.ts'
import { baseName } from './lib/clean-path.ts'
import { errorFields } from './lib/error-fields.ts'
import type { Log } from './log.ts'
import type { Logs } from './logs/logs.ts'
import { type CallCounts, createCallCounts } from './metrics/calls.ts'
import { followOomKills, NO_OOM_KILLS, type OomKills } from './metrics/kernel-log/oom-kills.ts'
import type { ResourceReader } from './metrics/resource-reader.ts'
import type { LiveFigures, Sample } from './metrics/sample.ts'
import { Sampler } from './metrics/sampler.ts'
import type { Actor } from './native/files.ts'
import { listeningSockets } from './native/index.ts'
import { Forwards } from './ports/forwards.ts'
import { PortTable } from './ports/port-table.ts'
import { socketReader } from './ports/read-sockets.ts'
import { Deposits } from './process/deposits.ts'
import { oomCounterOf, oomCounterOfGroups } from './process/oom-counter.ts'
import { createOomWitness } from './process/oom-witness.ts'
import { openOutputMemory } from './process/output-memory.ts'
import { OutputWindow } from './process/output-window.ts'
import type { Registry } from './process/registry.ts'
import { SlabPool } from './process/slab-pool.ts'
import { spawnInGroup } from './process/spawn-in-group.ts'
import { createServices, type Services, type ServicesDeps } from './supervisor/services.ts'
import { Terminals } from './terminals/terminals.ts'
import { Uploads } from './uploads/uploads.ts'
import type { Defaults } from './users/defaults.ts'
import type { Users } from './users/users.ts'
import { ChangeCursors } from './watch/change-cursors.ts'
import { Inotify } from './watch/inotify.ts'
import { type KeptWatchers, NOT_KEPT } from './watch/kept-watchers.ts'
import { INOTIFY_LIMITS, raiseKernelLimits } from './watch/kernel-limits.ts'
import { Pollers } from './watch/pollers.ts'
import { createWatchService, type WatchService } from './watch/service.ts'
import { SharedTrees } from './watch/shared-trees.ts'

/** The memory that waits for clients, and what reads the bodies of requests into it. */
export function buildBudget(
  { bodyStall }: Config,
  memory: number | undefined,
  { token, defaults }: { readonly token: AccessToken; readonly defaults: Pick<Defaults, 'user'> },
) {
  const budget = createByteBudget(budgetTotal(memory), () => defaults.user)
  return { budget, bodies: createRequestBodies({ budget, token, stallMs: bodyStall }) }
}

/**
 * The cgroups of commands, what freezes them, and how much memory is kept for the daemon (`memoryProtection`); the
 * caller ends with `closeGroups`.
 */
export async function buildGroups(config: Config, memory: MemoryUse, { commands: kept }: KeptFreezes, log: Log) {
  const groups = await openCgroups(config, memory, log.named('cgroups'))
  const workload = await createWorkload({ root: groups.root, kept, log: log.named('freezer') })
  const protection = await memoryProtection(groups.root)
  const closeGroups = async () => {
    await workload.close()
    await groups.close()
  }
  return { groups, workload, protection, closeGroups }
}

/** The CPUs of a microVM; elsewhere they are another's. The caller closes them. */
export async function buildCpus({ notFirecracker, runDir }: Config, devNull: number, log: Log): Promise<Cpus> {
  return notFirecracker ? NO_CPUS : openCpus({ runDir, devNull, log: log.named('cpus') })
}

/** The routes that freeze and thaw commands. */
export function freezeRoutes({ freeze, unfreeze }: Workload, sampler: Sampler, { drain: drainLogs }: Logs) {
  return (scope: FastifyInstance) => {
    freezeRoute(scope, { freeze, sampleNow: () => sampler.sampleNow(), drainLogs })
    unfreezeRoute(scope, unfreeze)
  }
}

/** What file routes need beside what the calls have. */
export function fileSettings({ strictFileUsers, archiveLimits }: Config, log: Log) {
  return { strictFileUsers, archiveLimits, compressors: createCompressors(), log: log.named('filesystem') }
}

/**
 * What the kernel says of kills for lack of memory; elsewhere than in a microVM its log is another's. The caller closes
 * it.
 * @param root the directory of the daemon's cgroups; undefined: there are none, and commands are in the daemon's own.
 */
export async function buildOom({ notFirecracker, cgroupRoot }: Config, root: string | undefined, log: Log) {
  const kills = notFirecracker ? NO_OOM_KILLS : followOomKills({ log })
  const groups =
    root === undefined ? undefined : await oomCounterOfGroups(COMMAND_GROUPS.map((name) => join(root, name)))
  const witness = createOomWitness(groups ?? (await oomCounterOf(process.pid, { cgroupRoot })), kills)
  const close = async () => {
    witness.close()
    await kills.close()
  }
  return { kills, witness, close }
}

/** What `GET /metrics` reports beside samples, and the counts of calls. */
export function buildFigures(cpus: Cpus, oomKills: Pick<OomKills, 'list'>) {
  const live = (): LiveFigures => ({ cpus: cpus.progress(), oomKills: oomKills.list() })
  return { calls: createCallCounts(), live }
}

/** Where processes are kept for the next daemon (undefined: nowhere), and what the last one has left. */
export function buildDeposits({ keepExits: keepMs }: Config, keeper: Keeper, taken: Taken, log: Log) {
  if (!keeper.present) return { deposits: undefined, left: [] }
  const left = taken.deposits.filter(({ key, pid }) => key > OUTPUT_KEY && pid !== 0)
  try {
    const output = taken.deposits.find(({ key }) => key === OUTPUT_KEY)
    const memory = openOutputMemory(keeper, output)
    return { deposits: new Deposits({ keeper, memory, keepMs, log }), left }
  } catch (error) {
    log.error({ ...errorFields(error) }, 'commands do not outlive this daemon')
    giveUp(keeper, left, log)
    return { deposits: undefined, left: [] }
  }
}

/** Where polled watchers are kept, which have the deposits of no process. */
function buildKeptWatchers({ keeper, taken: { deposits }, log }: WatchingParts): KeptWatchers {
  if (!keeper.present) return NOT_KEPT
  const left = deposits.filter(({ key, pid }) => key > OUTPUT_KEY && pid === 0)
  return keepWatchers(keeper, left, log)
}

/** What every command gets from the configuration, and the memory for its output. */
export function commandSettings({ outputWindow, outputResume, path, noFile, readerStall }: Config, log: Log) {
  const output = { window: new OutputWindow(outputWindow), pool: new SlabPool(), outputResume, readerStall }
  return { ...output, path, noFile, log: log.named('process') }
}

interface WatchingParts {
  readonly users: Users
  readonly defaults: Defaults
  readonly budget: ByteBudget
  readonly keeper: Keeper
  readonly taken: Taken
  readonly log: Log
}

/** What watches files: the caller closes `inotify` and `pollers`. */
export function buildWatching({ strictFileUsers }: Config, parts: WatchingParts) {
  const { users, defaults, budget, log } = parts
  const inotify = new Inotify({ log: log.named('filesystem'), ready: raiseKernelLimits(INOTIFY_LIMITS, log) })
  const trees = new SharedTrees({ inotify, budget })
  const pollers = new Pollers()
  const cursors = new ChangeCursors({ inotify, budget, trees })
  const readEntry = (path: string, actor: Actor) => readEntryInfo(path, users, actor)
  const kept = buildKeptWatchers(parts)
  const shared = { users, defaults, inotify, budget, trees, pollers, cursors, kept, strictFileUsers }
  const watch = createWatchService({ ...shared, readEntry })
  watch.restore()
  return { inotify, pollers, cursors, watch }
}

interface Observed {
  readonly resources: ResourceReader
  readonly registry: Registry
  readonly services: Pick<Services, 'all'>
  readonly watch: WatchService
  readonly inotify: Inotify
  readonly onSample: (sample: Sample) => void
  readonly log: Log
}

/** What measures machine and daemon; not started. */
export function buildSampler({ resources, registry, services, watch, inotify, onSample, log }: Observed): Sampler {
  const activity = () => {
    const { watchers, dropped } = watch.activity()
    const serviceRestarts = services.all.reduce((sum, { status }) => sum + status.restarts, 0)
    const events = { watchEventsDropped: dropped, watchOverflows: inotify.overflows }
    return { commands: registry.size, watchers, ...events, serviceRestarts }
  }
  return new Sampler({ resources, activity, onSample, log })
}

/** The observer of activity, and the lists of streams and transfers that the other parts keep for it. */
export function buildActivity(registry: Registry, ports: PortTable) {
  const [streams, transfers] = [createOpenStreams(), createTransfers()]
  const ownSeconds = () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  }
  const commands = () => clientCommands(registry)
  const sessions = () => new Set([...commands()].map(({ pid }) => pid))
  const cpu = createCommandCpu({ sessions, sessionTimes, ownSeconds })
  const observer = createObserver({ commands, ended: registry.ended, cpu, streams, ports, transfers })
  const onSample = ({ cpuSeconds }: Sample) => {
    void cpu.observe(cpuSeconds)
    // Notes when it became busy.
    observer.status()
  }
  return { streams, transfers, observer, onSample }
}

/** Counts calls, which are use of the sandbox as well. */
export function countedBy(counts: CallCounts, observer: Observer): (call: FinishedCall) => void {
  return (call) => {
    counts.add(call)
    observer.called(call.method)
  }
}

/** All but what the daemon runs by itself again and again. */
function* clientCommands(registry: Registry) {
  for (const { pid, tag, config, routine, lastOutput, lastInput } of registry.list())
    if (!routine) yield { pid, tag, command: baseName(config.cmd), lastOutput, lastInput }
}

/** What forwards ports; not started. */
export function buildPorts(config: Config, users: Users, log: Log): PortTable {
  const readSockets = socketReader({ diag: listeningSockets, procNet: '/proc/net' })
  return new PortTable({ readSockets, forwards: new Forwards(config.forward, log), users, log })
}

/** The screens of terminals; the emulator is loaded with the first. */
export function buildTerminals(budget: ByteBudget, unread: UnreadFrames): Terminals {
  return new Terminals({ budget, unread }, async () => {
    const [screen, feed] = await Promise.all([import('./terminals/screen.ts'), import('./terminals/screen-feed.ts')])
    return { ...screen, ...feed }
  })
}

/** What keeps the start command and the other services running; not begun. */
export function buildServices(deps: ServicesDeps): Services {
  return createServices({ ...deps, log: deps.log.named('supervisor') })
}

/** Resumable uploads; not begun, and the caller closes them. */
export function buildUploads(
  { uploads }: Pick<Config, 'uploads'>,
  { users, strictFileUsers, log }: { readonly users: Users; readonly strictFileUsers: boolean; readonly log: Log },
): Uploads {
  const fileUser = createFileUsers(users, strictFileUsers)
  const ownerOf = async (name: string) => fileUser(await findFileUser(users, name))
  return new Uploads({ ...uploads, ownerOf, conditionOf: preconditionOf, log })
}

/** The programs that search files, started as commands are. */
export function buildSearches(groups: Cgroups): SearchProcesses {
  return new SearchProcesses((spec) => spawnInGroup(spec, 'user', groups))
}
