import { AppError } from '../errors.ts'
import { fileErrno } from '../filesystem/failure.ts'
import { Failure } from './failure.ts'
import { openLeftOut } from './left-out.ts'
import type { Synced, SyncOptions } from './sync.ts'
import { syncDown } from './sync-down.ts'
import { syncSome, syncUp } from './sync-up.ts'

/** Makes a directory as another. Throws Failure. @param down from the sandbox */
export function syncOnce(options: SyncOptions, down: boolean): Promise<Synced> {
  return withLeftOut(options, down ? syncDown : syncUp)
}

/** Sends some paths, which have changed, with what their directories leave out. Throws Failure. */
export function syncPaths(options: SyncOptions, paths: readonly string[]): Promise<Synced> {
  return withLeftOut(options, async (_, left) => {
    if (options.gitignore) for (const directory of leadingTo(paths)) await left.enter(directory)
    return syncSome(paths, options, left)
  })
}

async function withLeftOut(
  options: SyncOptions,
  work: (options: SyncOptions, left: Awaited<ReturnType<typeof openLeftOut>>) => Promise<Synced>,
): Promise<Synced> {
  try {
    using left = await openLeftOut(options.local, options)
    return await work(options, left)
  } catch (error) {
    if (error instanceof AppError) throw new Failure(error.kind, error.message)
    if (fileErrno(error) !== undefined) throw new Failure('internal', String(error))
    throw error
  }
}

/** The directories that lead there, each after those above it. */
function leadingTo(paths: readonly string[]): ReadonlySet<string> {
  const directories = new Set([''])
  for (const path of paths)
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) directories.add(path.slice(0, at))
  return directories
}
