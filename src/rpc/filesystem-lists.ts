import type { ByteBudget } from '../budget/budget.ts'
import type { EntryInfo } from '../filesystem/entry.ts'
import type { FilesystemService } from '../filesystem/service.ts'
import { Filesystem, type GetWatcherEventsRequest, type ListDirRequest } from '../gen/filesystem/filesystem_pb.js'
import type { FilesystemEvent, WatchService } from '../watch/service.ts'
import type { Caller } from './caller.ts'

/** The calls of the Filesystem service whose answers may be long, as `listMethod` and `listHandler` take them. */
export function filesystemLists({
  filesystem,
  watch,
  budget,
}: {
  filesystem: FilesystemService
  watch: WatchService
  budget: ByteBudget
}) {
  return {
    listDir: [
      Filesystem.method.listDir,
      { name: 'entries', wrap: (entries: readonly EntryInfo[]) => ({ entries: [...entries] }) },
      { run: (request: ListDirRequest, caller: Caller) => filesystem.listDir(request, caller), budget },
    ],
    getWatcherEvents: [
      Filesystem.method.getWatcherEvents,
      { name: 'events', wrap: (events: readonly FilesystemEvent[]) => ({ events: [...events] }) },
      { run: (request: GetWatcherEventsRequest) => watch.getWatcherEvents(request), budget },
    ],
  } as const
}
