import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ByteBudget, Hold } from '../budget/budget.ts'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { createFileUsers, type FileUser } from '../filesystem/file-user.ts'
import type {
  EditRequest,
  EditResponseSchema,
  FindRequest,
  GrepRequest,
  ReadLinesRequest,
  ReadLinesResponseSchema,
  UndoRequest,
  UndoResponseSchema,
} from '../gen/files/v1/files_pb.js'
import type { Log } from '../log.ts'
import type { Defaults } from '../users/defaults.ts'
import { resolvePath, selectUser } from '../users/paths.ts'
import type { Users } from '../users/users.ts'
import { toEditedFile, toEdits, toLines, toRange } from './convert.ts'
import { editFiles, undoEdit } from './edit.ts'
import { type FindItem, find } from './find.ts'
import { type GrepItem, grep, type SearchContext } from './grep.ts'
import { readLines } from './read-lines.ts'
import { toFindQuery, toGrepQuery } from './search-convert.ts'
import { identityOf } from './search-identity.ts'
import type { SearchProcesses } from './search-process.ts'
import { UndoJournal } from './undo-journal.ts'

/** The calls of `files.v1.Files`. Each rejects with AppError. */
export interface FilesService {
  readLines(request: ReadLinesRequest, caller: Caller): Promise<MessageInitShape<typeof ReadLinesResponseSchema>>
  edit(request: EditRequest, caller: Caller): Promise<MessageInitShape<typeof EditResponseSchema>>
  undo(request: UndoRequest, caller: Caller): Promise<MessageInitShape<typeof UndoResponseSchema>>
  /** Some items at a time. */
  find(request: FindRequest, caller: StreamCaller): AsyncGenerator<FindItem[], void>
  /** Some items at a time. */
  grep(request: GrepRequest, caller: StreamCaller): AsyncGenerator<GrepItem[], void>
}

/** What the service needs. */
export interface FilesServiceDeps {
  readonly users: Users
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
  readonly budget: ByteBudget
  readonly log: Log
  /** Users have no more than their own rights; default: false. */
  readonly strictFileUsers?: boolean
  /** The programs that search. */
  readonly searches: SearchProcesses
}

/** Makes the service. Paths, users and their rights are those of `filesystem.Filesystem`. */
export function createFilesService(deps: FilesServiceDeps): FilesService {
  const { users, defaults, budget, log, strictFileUsers, searches } = deps
  const fileUser = createFileUsers(users, strictFileUsers)
  const journal = new UndoJournal(budget.hold('edit', { connection: undefined, user: undefined }), budget.total)
  const resolve = (path: string, user: FileUser) => resolvePath(path, user, defaults.workdir)

  /** Runs what takes memory for a caller. */
  async function counted<T>(caller: Caller, work: (owner: FileUser, hold: Hold) => Promise<T>): Promise<T> {
    const owner = await fileUser(await selectUser(users, caller.user, defaults.user))
    const hold = budget.hold('edit', { connection: caller.connection, user: owner.name })
    try {
      return await work(owner, hold)
    } finally {
      hold.release()
    }
  }

  /** What a search needs; it releases the hold. */
  async function searcher(caller: StreamCaller): Promise<SearchContext> {
    const user = await selectUser(users, caller.user, defaults.user)
    const hold = budget.hold('edit', { connection: caller.connection, user: user.name })
    const { keepalive, signal } = caller
    const identity = await identityOf(user, users)
    return { owner: await fileUser(user), user: identity, processes: searches, keepalive, signal, hold }
  }

  return {
    async *find(request, caller) {
      const context = await searcher(caller)
      try {
        yield* find(resolve(request.path, context.owner), toFindQuery(request), context)
      } finally {
        context.hold.release()
      }
    },
    async *grep(request, caller) {
      const context = await searcher(caller)
      try {
        yield* grep(resolve(request.path, context.owner), toGrepQuery(request), context)
      } finally {
        context.hold.release()
      }
    },
    readLines: (request, caller) =>
      counted(caller, async (owner, hold) => {
        const path = resolve(request.path, owner)
        return toLines(await readLines({ ...toRange(request), path, owner, hold, signal: caller.signal }))
      }),
    edit: ({ files, dryRun }, caller) =>
      counted(caller, async (owner, hold) => {
        const edits = toEdits(files, (path) => resolve(path, owner))
        const { edit, ...edited } = await editFiles(edits, { owner, hold, dryRun, journal, log, signal: caller.signal })
        return { files: edited.files.map(toEditedFile), ...(edit === undefined ? {} : { edit }) }
      }),
    undo: ({ edit: id, dryRun }, caller) =>
      counted(caller, async (owner, hold) => {
        const { edit, files } = await undoEdit(id, { owner, hold, dryRun, journal, log, signal: caller.signal })
        return { edit, files: files.map(toEditedFile) }
      }),
  }
}
