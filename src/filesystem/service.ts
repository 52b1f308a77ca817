import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ByteBudget } from '../budget/budget.ts'
import type { Caller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import type {
  ListDirRequest,
  MakeDirRequest,
  MakeDirResponseSchema,
  MoveRequest,
  MoveResponseSchema,
  RemoveRequest,
  RemoveResponseSchema,
  StatRequest,
  StatResponseSchema,
} from '../gen/filesystem/filesystem_pb.js'
import { cleanPath } from '../lib/clean-path.ts'
import type { Defaults } from '../users/defaults.ts'
import { resolvePath, selectUser } from '../users/paths.ts'
import type { User, Users } from '../users/users.ts'
import { type EntryInfo, readEntryInfo } from './entry.ts'
import { failure, failureKind, fileErrno } from './failure.ts'
import { createFileUsers, type FileUser } from './file-user.ts'
import { listDirectory } from './list.ts'
import { movePath } from './move.ts'
import { makeDirectory, removePath } from './mutations.ts'

/** The calls of `filesystem.Filesystem` that need no watching. Each rejects with AppError. */
export interface FilesystemService {
  stat(request: StatRequest, caller: Caller): Promise<MessageInitShape<typeof StatResponseSchema>>
  makeDir(request: MakeDirRequest, caller: Caller): Promise<MessageInitShape<typeof MakeDirResponseSchema>>
  move(request: MoveRequest, caller: Caller): Promise<MessageInitShape<typeof MoveResponseSchema>>
  /** In pieces of some entries, which are read as they are taken. */
  listDir(request: ListDirRequest, caller: Caller): AsyncIterable<readonly EntryInfo[]>
  remove(request: RemoveRequest, caller: Caller): Promise<MessageInitShape<typeof RemoveResponseSchema>>
}

/** What everything needs that works on files for clients. */
export interface FilesystemDeps {
  readonly users: Users
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
  readonly budget: ByteBudget
  /** Users have no more than their own rights; default: false. */
  readonly strictFileUsers?: boolean
}

/**
 * Makes the service (contract C1 to C25). It acts with the daemon's own rights, unless users are strict; the caller's
 * user decides on home directory and ownership (contract A43), and on the links that are followed.
 */
export function createFilesystemService({
  users,
  defaults,
  budget,
  strictFileUsers,
}: FilesystemDeps): FilesystemService {
  const fileUser = createFileUsers(users, strictFileUsers)
  const userOf = async (caller: Caller) => fileUser(await selectUser(users, caller.user, defaults.user, caller.since))
  const resolve = (path: string, user: User) => resolvePath(path, user, defaults.workdir)
  return {
    async stat(request, caller) {
      const user = await userOf(caller)
      return { entry: await entryOf(resolve(request.path, user), { users, user }) }
    },
    async makeDir(request, caller) {
      const user = await userOf(caller)
      const path = resolve(request.path, user)
      await makeDirectory(path, user)
      return { entry: await madeEntry(path, { users, user }) }
    },
    async move(request, caller) {
      const owner = await userOf(caller)
      refuseEmpty(request.source, 'source')
      for (const field of ['source', 'destination'] as const) refuseDots(request[field], field)
      const destination = resolve(request.destination, owner)
      await movePath({ source: resolve(request.source, owner), destination, owner, signal: caller.signal })
      return { entry: await madeEntry(destination, { users, user: owner }) }
    },
    async *listDir(request, caller) {
      const actor = await userOf(caller)
      const hold = budget.hold('listing', { connection: caller.connection, user: actor.name })
      const [path, depth] = [resolve(request.path, actor), Math.max(1, request.depth)]
      try {
        yield* listDirectory({ path, depth, users, actor, signal: caller.signal, hold })
      } finally {
        hold.release()
      }
    },
    async remove(request, caller) {
      const user = await userOf(caller)
      refuseEmpty(request.path, 'path')
      if (/(^|\/)\.\/*$/.test(request.path))
        throw new AppError('internal', `RemoveAll ${request.path}: invalid argument`)
      refuseDots(request.path, 'path')
      await removePath(resolve(request.path, user), user)
      return {}
    },
  }
}

/** Empty means the home elsewhere; it must not be lost by a variable that was not set (contract C19). */
function refuseEmpty(path: string, field: string): void {
  if (path === '') throw new AppError('invalid_argument', `${field} must not be empty`)
}

/**
 * Such a path is not what it names but the directory above, or the home: rarely what was meant, and never the whole of
 * what would be lost. rename(2) and rmdir(2) refuse it, too.
 */
function refuseDots(path: string, field: string): void {
  if (/(^|\/)\.\.?\/*$/.test(path)) throw new AppError('invalid_argument', `${field} must not end in "." or ".."`)
}

/** For whom an entry is looked at. */
interface Looking {
  readonly users: Users
  readonly user: FileUser
}

/** What was made at a path: one through a missing directory and back is made where the clean path leads. */
async function madeEntry(path: string, looking: Looking): Promise<EntryInfo> {
  const clean = cleanPath(path)
  if (clean === path) return entryOf(path, looking)
  return entryOf(path, looking).catch((error: unknown) => {
    if (error instanceof AppError && error.kind === 'not_found') return entryOf(clean, looking)
    throw error
  })
}

async function entryOf(path: string, { users, user }: Looking): Promise<EntryInfo> {
  try {
    return await readEntryInfo(path, users, user)
  } catch (error) {
    if (error instanceof AppError) throw error
    const reason = failure('lstat', path, error)
    if (fileErrno(error) === 'ENOENT') throw new AppError('not_found', `file not found: ${reason}`, { cause: error })
    throw new AppError(failureKind(error), `error getting file info: ${reason}`, { cause: error })
  }
}
