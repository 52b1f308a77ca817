import type { ByteBudget } from '../budget/budget.ts'
import type { FilesystemService } from '../filesystem/service.ts'
import { Filesystem } from '../gen/filesystem/filesystem_pb.js'
import { Process } from '../gen/process/process_pb.js'
import type { ProcessService } from '../process/service.ts'
import type { WatchService } from '../watch/service.ts'
import { filesystemLists } from './filesystem-lists.ts'
import { listMethod } from './list-method.ts'
import { processList } from './process-list.ts'
import { type UnaryMethod, unaryMethod } from './unary-route.ts'

/** The unary calls of both services, as `serveUnary` runs them. What is not here is left to the library. */
export function unaryMethods(services: {
  process: ProcessService
  filesystem: FilesystemService
  watch: WatchService
  budget: ByteBudget
}): UnaryMethod[] {
  const { process, filesystem, watch } = services
  const lists = filesystemLists(services)
  return [
    listMethod(...processList(process, services.budget)),
    unaryMethod(Process.method.update, (request) => process.update(request)),
    unaryMethod(Process.method.sendInput, process.sendInput),
    unaryMethod(Process.method.sendSignal, process.sendSignal),
    unaryMethod(Process.method.closeStdin, process.closeStdin),
    unaryMethod(Filesystem.method.stat, filesystem.stat),
    unaryMethod(Filesystem.method.makeDir, filesystem.makeDir),
    unaryMethod(Filesystem.method.move, filesystem.move),
    listMethod(...lists.listDir),
    unaryMethod(Filesystem.method.remove, filesystem.remove),
    unaryMethod(Filesystem.method.createWatcher, watch.createWatcher),
    listMethod(...lists.getWatcherEvents),
    unaryMethod(Filesystem.method.removeWatcher, watch.removeWatcher),
  ]
}
