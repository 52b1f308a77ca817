import type { MessageInitShape } from '@bufbuild/protobuf'
import { list, openedStream, unary } from '../calls/builders.ts'
import { type ServiceTable, serviceTable } from '../calls/service-table.ts'
import type { WatchMethods } from '../filesystem/rpc.ts'
import type { WatchDirResponseSchema } from '../gen/filesystem/filesystem_pb.js'
import { Watch } from '../gen/watch/v1/watch_pb.js'
import { watchDirectories } from './directories.ts'
import type { WatchItem, WatchService } from './service.ts'

/** The methods of `filesystem.Filesystem` that watch. */
export function watchMethods(service: WatchService): WatchMethods {
  return {
    watchDir: openedStream(async (request, caller) => {
      const { batches, ended } = await service.watchDir(request, caller)
      return { ended, messages: () => messagesOf(batches) }
    }),
    createWatcher: unary(service.createWatcher),
    getWatcherEvents: list('events', service.getWatcherEvents),
    removeWatcher: unary(service.removeWatcher),
  }
}

/** The methods of `watch.v1.Watch`. */
export function watchRpc(service: WatchService): ServiceTable {
  return serviceTable(
    Watch,
    {
      directories: openedStream(async (request, caller) => {
        const { messages } = await watchDirectories(service, request, caller)
        return { messages, ended: caller.signal }
      }),
    },
    { logger: 'filesystem' },
  )
}

type Response = MessageInitShape<typeof WatchDirResponseSchema>

async function* messagesOf(batches: AsyncIterable<readonly WatchItem[]>): AsyncGenerator<readonly Response[], void> {
  for await (const items of batches) yield items.map(toResponse)
}

function toResponse(item: WatchItem): Response {
  if (item.kind === 'event') return { event: { case: 'filesystem', value: item.event } }
  return { event: { case: item.kind, value: {} } }
}
