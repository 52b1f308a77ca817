import type { ServiceTable } from './calls/service-table.ts'
import type { Config } from './config.ts'
import { filesystemRpc } from './filesystem/rpc.ts'
import { createFilesystemService, type FilesystemDeps } from './filesystem/service.ts'
import { metricsRpc } from './metrics/rpc.ts'
import type { Sampler } from './metrics/sampler.ts'
import { createMetricsService } from './metrics/service.ts'
import type { PortTable } from './ports/port-table.ts'
import { portsRpc } from './ports/rpc.ts'
import { createPortsService } from './ports/service.ts'
import { processRpc } from './process/rpc.ts'
import type { ProcessService } from './process/service.ts'
import { supervisorRpc } from './supervisor/rpc.ts'
import { createSupervisorService } from './supervisor/service.ts'
import type { Services } from './supervisor/services.ts'
import { watchMethods } from './watch/rpc.ts'
import type { WatchService } from './watch/service.ts'

interface ServedParts {
  readonly process: ProcessService
  readonly files: FilesystemDeps
  readonly watch: WatchService
  readonly sampler: Sampler
  readonly ports: PortTable
  readonly services: Services
}

/** The tables of all RPC services that the daemon serves. */
export function rpcServices({ portArguments }: Config, parts: ServedParts): readonly ServiceTable[] {
  const { process, files, watch, sampler, ports, services } = parts
  return [
    processRpc(process),
    filesystemRpc(createFilesystemService(files), watchMethods(watch)),
    metricsRpc(createMetricsService({ sampler })),
    portsRpc(createPortsService(ports, { showArguments: portArguments })),
    supervisorRpc(createSupervisorService(services)),
  ]
}
