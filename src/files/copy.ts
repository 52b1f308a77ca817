import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { ensureDirectory } from '../filesystem/directories.ts'
import { failureKind, fileErrno, reasonOf } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { cleanPath } from '../lib/clean-path.ts'
import type { Log } from '../log.ts'
import { copyTree, type TreeState, type TreeTask } from '../native/tree-task.ts'
import { runTreeTask, syscallOf, TreeFailure, type TreeTaskOptions, treeError } from './tree-tasks.ts'

/** What is copied where, and how. */
interface CopyOptions extends Pick<TreeTaskOptions, 'signal' | 'hold'> {
  /** Both are absolute. */
  readonly source: string
  readonly destination: string
  readonly recursive: boolean
  readonly replace: boolean
  /** For root only. */
  readonly keepOwners: boolean
  readonly owner: FileUser
  readonly log: Log
}

/**
 * Copies a file, link or directory: how far it is, and at last when it is whole and in its place. Cancelled or failed,
 * it leaves what was there before. Rejects with AppError: not_found, already_exists, invalid_argument,
 * permission_denied, aborted, no_space, resource_exhausted, budget_spent, internal.
 */
export async function* copyPath(
  options: CopyOptions,
): AsyncGenerator<{ readonly done: boolean; readonly state: TreeState }, void> {
  const { source, owner, recursive, replace, keepOwners, log, signal, hold } = options
  const destination = cleanPath(options.destination)
  if (keepOwners && owner.uid !== 0) throw new AppError('permission_denied', 'keep_owners is for root only')
  const onEnd = ({ leftBehind }: TreeState) => {
    if (leftBehind.length > 0) log.warn({ name: leftBehind.toString() }, 'the rest of a copy could not be removed')
  }
  const copy = (task: TreeTask) =>
    copyTree(task, Buffer.from(source), Buffer.from(destination), owner, recursive, replace, keepOwners)
  const start = (task: TreeTask) =>
    copy(task).catch(async (error: unknown) => {
      if (syscallOf(error) !== 'destination' || fileErrno(error) !== 'ENOENT') throw error
      await makeParents(destination, owner)
      return copy(task)
    })
  try {
    yield* runTreeTask(start, { signal, hold, onEnd })
  } catch (error) {
    throw copyError({ source, destination }, error)
  }
}

async function makeParents(destination: string, owner: FileUser): Promise<void> {
  try {
    await ensureDirectory(posix.dirname(destination), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error ensuring directories: ${reasonOf(error)}`, { cause: error })
  }
}

/** What only a copy can fail of. */
const REFUSALS: Readonly<Record<string, (path: string) => AppError>> = {
  'source EISDIR': () => new AppError('invalid_argument', 'the source is a directory: it needs recursive'),
  'source ENXIO': () => new AppError('invalid_argument', 'the source is no file, link or directory'),
  'destination EEXIST': (path) => new AppError('already_exists', `path '${path}' exists already`),
  'destination EISDIR': (path) => new AppError('invalid_argument', `path '${path}' is a directory, the source is none`),
  'destination ENOTDIR': (path) => new AppError('invalid_argument', `path '${path}' is not a directory`),
  'destination EBUSY': (path) => new AppError('invalid_argument', `path '${path}' cannot be replaced`),
  'destination ENOENT': (path) => new AppError('not_found', `path '${path}' does not exist`),
  'destination EROFS': (path) => new AppError('invalid_argument', `path '${path}' takes no files`),
  'overlap EINVAL': () => new AppError('invalid_argument', 'the source and the destination are in each other'),
  'overlap EDEADLK': () => new AppError('invalid_argument', 'the source and the destination are in each other'),
}

function copyError({ source, destination }: { readonly source: string; readonly destination: string }, error: unknown) {
  if (!(error instanceof TreeFailure)) return error
  const { cause } = error
  if (cause instanceof AppError) return cause
  const refusal = REFUSALS[`${syscallOf(cause)} ${fileErrno(cause)}`]
  if (refusal !== undefined) return refusal(destination)
  if (syscallOf(cause) !== 'place') return treeError('copying', source, error)
  return new AppError('aborted', `path '${destination}' cannot be taken in one step: ${reasonOf(cause)}`, { cause })
}
