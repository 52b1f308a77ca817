import { create } from '@bufbuild/protobuf'
import type { ConnectRouter, ServiceImpl } from '@connectrpc/connect'
import { AppError } from '../errors.ts'
import type { FilesystemService } from '../filesystem/service.ts'
import { Filesystem } from '../gen/filesystem/filesystem_pb.js'
import { ConnectResponseSchema, Process, StartResponseSchema } from '../gen/process/process_pb.js'
import { toEvent } from '../process/convert.ts'
import { type Followed, follow } from '../process/follow.ts'
import type { Chunk } from '../process/output-log.ts'
import type { ProcessService } from '../process/service.ts'
import { callerOf, streamCallerOf } from './request-caller.ts'

/** Puts the services on the library's router: all unary calls, and streams in gRPC and gRPC-Web. */
export function addServices(
  router: ConnectRouter,
  services: { process: ProcessService; filesystem: FilesystemService },
): void {
  router.service(Process, processCalls(services.process))
  router.service(Filesystem, filesystemCalls(services.filesystem))
}

function processCalls(service: ProcessService): ServiceImpl<typeof Process> {
  return {
    list: () => service.list(),
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

function filesystemCalls(service: FilesystemService): ServiceImpl<typeof Filesystem> {
  return {
    stat: (request, context) => service.stat(request, callerOf(context)),
    makeDir: (request, context) => service.makeDir(request, callerOf(context)),
    move: (request, context) => service.move(request, callerOf(context)),
    listDir: (request, context) => service.listDir(request, callerOf(context)),
    remove: (request, context) => service.remove(request, callerOf(context)),
    // biome-ignore lint/correctness/useYield: there is nothing to yield before the first error
    async *watchDir() {
      throw notYet()
    },
    createWatcher: () => Promise.reject(notYet()),
    getWatcherEvents: () => Promise.reject(notYet()),
    removeWatcher: () => Promise.reject(notYet()),
  }
}

function notYet(): AppError {
  return new AppError('unimplemented', 'this version of the daemon does not watch directories')
}
