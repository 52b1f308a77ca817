import type { MessageInitShape } from '@bufbuild/protobuf'
import type { ByteBudget, Hold } from '../budget/budget.ts'
import type { Caller } from '../calls/caller.ts'
import { createFileUsers, type FileUser } from '../filesystem/file-user.ts'
import type {
  EditRequest,
  EditResponseSchema,
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
import { readLines } from './read-lines.ts'
import { UndoJournal } from './undo-journal.ts'

/** The calls of `files.v1.Files`. Each rejects with AppError. */
export interface FilesService {
  readLines(request: ReadLinesRequest, caller: Caller): Promise<MessageInitShape<typeof ReadLinesResponseSchema>>
  edit(request: EditRequest, caller: Caller): Promise<MessageInitShape<typeof EditResponseSchema>>
  undo(request: UndoRequest, caller: Caller): Promise<MessageInitShape<typeof UndoResponseSchema>>
}

/** What the service needs. */
export interface FilesServiceDeps {
  readonly users: Users
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
  readonly budget: ByteBudget
  readonly log: Log
  /** Users have no more than their own rights; default: false. */
  readonly strictFileUsers?: boolean
}

/** Makes the service. Paths, users and their rights are those of `filesystem.Filesystem`. */
export function createFilesService({ users, defaults, budget, log, strictFileUsers }: FilesServiceDeps): FilesService {
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

  return {
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
