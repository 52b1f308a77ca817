import type { Observer } from './activity/observer.ts'
import { activityRpc } from './activity/rpc.ts'
import { createActivityService } from './activity/service.ts'
import { agentSandboxRpc } from './agent-sandbox/rpc.ts'
import { createAgentSandboxService } from './agent-sandbox/service.ts'
import type { UnreadFrames } from './budget/unread-frames.ts'
import { buildTerminals } from './build-parts.ts'
import type { ServiceTable } from './calls/service-table.ts'
import { capabilitiesRpc } from './capabilities/rpc.ts'
import { createCapabilitiesService } from './capabilities/service.ts'
import type { Cgroups } from './cgroups/cgroups.ts'
import type { Config } from './config.ts'
import { featuresOf } from './features.ts'
import { MAX_EDITED_BYTES, MAX_EDITED_FILES, MAX_MATCHES, MAX_SEARCHES, MAX_UNDO_EDITS } from './files/limits.ts'
import { filesRpc } from './files/rpc.ts'
import type { SearchProcesses } from './files/search-process.ts'
import { createFilesService, type FilesServiceDeps } from './files/service.ts'
import { filesystemRpc } from './filesystem/rpc.ts'
import { createFilesystemService } from './filesystem/service.ts'
import { jobsRpc } from './jobs/rpc.ts'
import { createJobsService } from './jobs/service.ts'
import type { Keeper } from './keeper/keeper.ts'
import type { RecentLines } from './logs/recent-lines.ts'
import { logsRpc } from './logs/rpc.ts'
import { createLogsService } from './logs/service.ts'
import { HISTORY_SAMPLES } from './metrics/history.ts'
import { metricsRpc } from './metrics/rpc.ts'
import type { Sampler } from './metrics/sampler.ts'
import { createMetricsService } from './metrics/service.ts'
import { maxForwards } from './ports/forwards.ts'
import type { PortTable } from './ports/port-table.ts'
import { portsRpc } from './ports/rpc.ts'
import { createPortsService } from './ports/service.ts'
import { MAX_QUEUED_BYTES } from './process/input-queue.ts'
import { createKills } from './process/kills.ts'
import { MAX_PROCESSES, MAX_RETAINED, type Registry } from './process/registry.ts'
import { processRpc } from './process/rpc.ts'
import type { ProcessService } from './process/service.ts'
import { createSessionUsage } from './process/session-usage.ts'
import { supervisorRpc } from './supervisor/rpc.ts'
import { createSupervisorService } from './supervisor/service.ts'
import type { Services } from './supervisor/services.ts'
import { terminalsRpc } from './terminals/rpc.ts'
import { createTerminalsService } from './terminals/service.ts'
import { MAX_SCREENS } from './terminals/terminals.ts'
import { COMMIT, VERSION } from './version.ts'
import { MAX_BUFFERED_CHANGES } from './watch/change-buffer.ts'
import { MAX_WATCHED_DIRECTORIES } from './watch/directories.ts'
import { watchMethods, watchRpc } from './watch/rpc.ts'
import type { WatchService } from './watch/service.ts'

interface ServedParts {
  readonly keeper: Keeper
  readonly registry: Registry
  readonly groups: Cgroups
  readonly process: ProcessService
  readonly files: Omit<FilesServiceDeps, 'searches'>
  readonly searches: SearchProcesses
  readonly watch: WatchService
  readonly sampler: Sampler
  readonly ports: PortTable
  readonly services: Services
  readonly observer: Observer
  readonly recent: RecentLines
  readonly unread: UnreadFrames
}

/** The tables of all RPC services that the daemon serves, and what it says of itself. */
export function rpcServices(config: Config, parts: ServedParts) {
  const { process, files, searches, watch, sampler, ports, services, groups, registry, keeper } = parts
  const { observer, recent, unread } = parts
  const features = featuresOf(config, { keeper, groups, ports })
  const limits = { ...LIMITS, ...configuredLimits(config), waiting_bytes: files.budget.total }
  const about = { commit: COMMIT, compatibilityVersion: VERSION, limits, features, services: () => tables }
  const capabilities = createCapabilitiesService(about)
  const kills = createKills(registry)
  const terminals = buildTerminals(files.budget, unread)
  const usage = createSessionUsage(() => registry.list())
  const tables: readonly ServiceTable[] = [
    processRpc(process),
    filesystemRpc(createFilesystemService(files), watchMethods(watch)),
    watchRpc(watch),
    filesRpc(createFilesService({ ...files, searches }), watch.changes),
    metricsRpc(createMetricsService({ sampler })),
    portsRpc(createPortsService(ports, { showArguments: config.portArguments })),
    supervisorRpc(createSupervisorService(services)),
    agentSandboxRpc(createAgentSandboxService({ processes: process, registry, budget: files.budget })),
    activityRpc(createActivityService(observer)),
    terminalsRpc(createTerminalsService({ processes: process, registry, kills, terminals })),
    jobsRpc(createJobsService({ registry, kills, usage, unread })),
    logsRpc(createLogsService(recent)),
    capabilitiesRpc(capabilities),
  ]
  return { tables, capabilities }
}

/** What the daemon holds at most. */
const LIMITS = {
  processes: MAX_PROCESSES,
  retained_exits: MAX_RETAINED,
  queued_input_bytes: MAX_QUEUED_BYTES,
  buffered_watch_changes: MAX_BUFFERED_CHANGES,
  watched_directories: MAX_WATCHED_DIRECTORIES,
  metrics_samples: HISTORY_SAMPLES,
  forwarded_ports: maxForwards(),
  terminal_screens: MAX_SCREENS,
  edited_file_bytes: MAX_EDITED_BYTES,
  edited_files: MAX_EDITED_FILES,
  undo_edits: MAX_UNDO_EDITS,
  searches: MAX_SEARCHES,
  search_matches: MAX_MATCHES,
}

function configuredLimits({ keepExits, outputWindow, bodyStall, readerStall }: Config) {
  return {
    retained_exit_seconds: keepExits / 1000,
    output_window_bytes: outputWindow,
    body_stall_seconds: bodyStall / 1000,
    reader_stall_seconds: readerStall / 1000,
  }
}
