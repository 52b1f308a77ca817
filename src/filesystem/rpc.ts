import { list, unary } from '../calls/builders.ts'
import { type Methods, type ServiceTable, serviceTable } from '../calls/service-table.ts'
import { Filesystem } from '../gen/filesystem/filesystem_pb.js'
import { reduce } from './legacy.ts'
import type { FilesystemService } from './service.ts'

/** The methods of `filesystem.Filesystem` that watch. */
export type WatchMethods = Pick<
  Methods<typeof Filesystem>,
  'watchDir' | 'createWatcher' | 'getWatcherEvents' | 'removeWatcher'
>

/** The methods of `filesystem.Filesystem`. */
export function filesystemRpc(service: FilesystemService, watching: WatchMethods): ServiceTable {
  return serviceTable(
    Filesystem,
    {
      stat: unary(service.stat),
      makeDir: unary(service.makeDir),
      move: unary(service.move),
      listDir: list('entries', service.listDir),
      remove: unary(service.remove),
      ...watching,
    },
    { reduce },
  )
}
