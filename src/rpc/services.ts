import { create } from '@bufbuild/protobuf'
import type { ConnectRouter, ServiceImpl } from '@connectrpc/connect'
import type { ByteBudget } from '../budget/budget.ts'
import type { FilesystemService } from '../filesystem/service.ts'
import { Filesystem, WatchDirResponseSchema } from '../gen/filesystem/filesystem_pb.js'
import { Metrics } from '../gen/metrics/metrics_pb.js'
import { Ports } from '../gen/ports/ports_pb.js'
import { ConnectResponseSchema, Process, StartResponseSchema } from '../gen/process/process_pb.js'
import { Supervisor } from '../gen/supervisor/supervisor_pb.js'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import type { Compressors } from '../http/transfer/compressors.ts'
import type { MetricsService } from '../metrics/service.ts'
import type { PortsService } from '../ports/service.ts'
import { toEvent } from '../process/convert.ts'
import { type Followed, follow } from '../process/follow.ts'
import type { Chunk } from '../process/output-log.ts'
import type { ProcessService } from '../process/service.ts'
import type { SupervisorService } from '../supervisor/service.ts'
import type { WatchService } from '../watch/service.ts'
import type { AccessLogOptions } from './access-log.ts'
import { filesystemLists } from './filesystem-lists.ts'
import { listHandler } from './list-method.ts'
import { metricsCalls } from './metrics-calls.ts'
import { portsCalls } from './ports-calls.ts'
import { processList } from './process-list.ts'
import { callerOf, streamCallerOf } from './request-caller.ts'
import { supervisorCalls } from './supervisor-calls.ts'
import { toWatchResponse } from './watch-stream.ts'

/** The services behind the RPC routes, and what every stream needs. */
export interface RpcDeps extends AccessLogOptions {
  /** Aborts, with an AppError, when the daemon stops. */
  readonly shutdown: AbortSignal
  readonly process: ProcessService
  readonly filesystem: FilesystemService
  readonly watch: WatchService
  readonly metrics: MetricsService
  readonly supervisor: SupervisorService
  readonly ports: PortsService
  readonly bodies: RequestBodies
  readonly budget: ByteBudget
  readonly compressors: Compressors
}

/** Puts the services on the library's router: all unary calls, and streams in gRPC and gRPC-Web. */
export function addServices(router: ConnectRouter, services: RpcDeps): void {
  router.service(Process, processCalls(services))
  router.service(Filesystem, filesystemCalls(services))
  router.service(Metrics, metricsCalls(services.metrics, services.budget))
  router.service(Ports, portsCalls(services.ports, services.budget))
  router.service(Supervisor, supervisorCalls(services.supervisor))
}

function processCalls({ process: service, budget }: RpcDeps): ServiceImpl<typeof Process> {
  return {
    list: listHandler(...processList(service, budget)),
    async *connect(request, context) {
      const caller = streamCallerOf(context)
      for await (const event of events(await service.connect(request, caller), caller.keepalive))
        yield create(ConnectResponseSchema, { event })
    },
    async *start(request, context) {
      const caller = streamCallerOf(context)
      for await (const event of events(await service.start(request, caller), caller.keepalive))
        yield create(StartResponseSchema, { event })
    },
    update: (request) => service.update(request),
    streamInput: (requests, context) => service.streamInput(requests, callerOf(context)),
    sendInput: (request, context) => service.sendInput(request, callerOf(context)),
    sendSignal: (request, context) => service.sendSignal(request, callerOf(context)),
    closeStdin: (request, context) => service.closeStdin(request, callerOf(context)),
  }
}

async function* events(followed: Followed, keepalive: number) {
  for await (const item of follow(followed, keepalive, copyOf)) yield toEvent(item)
}

/** The library encodes after the chunk's memory may have been written again. */
function copyOf({ stream, bytes }: Chunk) {
  return { stream, bytes: Uint8Array.from(bytes) }
}

function filesystemCalls(services: RpcDeps): ServiceImpl<typeof Filesystem> {
  const { filesystem, watch } = services
  const lists = filesystemLists(services)
  return {
    stat: (request, context) => filesystem.stat(request, callerOf(context)),
    makeDir: (request, context) => filesystem.makeDir(request, callerOf(context)),
    move: (request, context) => filesystem.move(request, callerOf(context)),
    listDir: listHandler(...lists.listDir),
    remove: (request, context) => filesystem.remove(request, callerOf(context)),
    async *watchDir(request, context) {
      const { batches } = await watch.watchDir(request, streamCallerOf(context))
      for await (const items of batches)
        for (const item of items) yield create(WatchDirResponseSchema, toWatchResponse(item))
    },
    createWatcher: (request, context) => watch.createWatcher(request, callerOf(context)),
    getWatcherEvents: listHandler(...lists.getWatcherEvents),
    removeWatcher: (request) => watch.removeWatcher(request),
  }
}
