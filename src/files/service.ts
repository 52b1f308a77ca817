import { isUtf8 } from 'node:buffer'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Hold } from '../budget/budget.ts'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import { createFileUsers, type FileUser } from '../filesystem/file-user.ts'
import type { FilesystemDeps } from '../filesystem/service.ts'
import type {
  ChecksumRequest,
  CopyRequest,
  DiskUsageRequest,
  EditRequest,
  EditResponseSchema,
  FindRequest,
  GrepRequest,
  ReadLinesRequest,
  ReadLinesResponseSchema,
  ReadLinkRequest,
  ReadLinkResponseSchema,
  SetAttributesRequest,
  SymlinkRequest,
  SymlinkResponseSchema,
  TruncateRequest,
  TruncateResponseSchema,
  UndoRequest,
  UndoResponseSchema,
} from '../gen/files/v1/files_pb.js'
import type { Log } from '../log.ts'
import type { TreeState } from '../native/tree-task.ts'
import { resolvePath, selectUser } from '../users/paths.ts'
import type { User } from '../users/users.ts'
import { type ChecksumItem, checksum } from './checksum.ts'
import { toEditedFile, toEdits, toLines, toRange } from './convert.ts'
import { copyPath } from './copy.ts'
import { diskUsage, type UsageItem } from './disk-usage.ts'
import { editFiles, undoEdit } from './edit.ts'
import { type FindItem, find } from './find.ts'
import { type GrepItem, grep, type SearchContext } from './grep.ts'
import { makeSymlink, readSymlink } from './links.ts'
import { readLines } from './read-lines.ts'
import { toFindQuery, toGrepQuery } from './search-convert.ts'
import { identityOf } from './search-identity.ts'
import type { SearchProcesses } from './search-process.ts'
import { setAttributes } from './set-attributes.ts'
import { truncateFile } from './truncate.ts'
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
  /** Some items at a time. */
  checksum(request: ChecksumRequest, caller: StreamCaller): AsyncGenerator<ChecksumItem[], void>
  /** How far it is, and at last when it is done. */
  copy(request: CopyRequest, caller: StreamCaller): AsyncGenerator<TreeProgress, void>
  /** How far it is, and at last when it is done. */
  setAttributes(request: SetAttributesRequest, caller: StreamCaller): AsyncGenerator<TreeProgress, void>
  /** Some items at a time. */
  diskUsage(request: DiskUsageRequest, caller: StreamCaller): AsyncGenerator<UsageItem[], void>
  symlink(request: SymlinkRequest, caller: Caller): Promise<MessageInitShape<typeof SymlinkResponseSchema>>
  readLink(request: ReadLinkRequest, caller: Caller): Promise<MessageInitShape<typeof ReadLinkResponseSchema>>
  truncate(request: TruncateRequest, caller: Caller): Promise<MessageInitShape<typeof TruncateResponseSchema>>
}

/** How far work on a tree is. */
export interface TreeProgress {
  readonly done: boolean
  readonly state: TreeState
}

export interface FilesServiceDeps extends FilesystemDeps {
  readonly log: Log
  /** The programs that search. */
  readonly searches: SearchProcesses
}

/** Makes the service. Paths, users and their rights are those of `filesystem.Filesystem`. */
export function createFilesService(deps: FilesServiceDeps): FilesService {
  const desk = createDesk(deps)
  return { ...editCalls(desk, deps), ...searchCalls(desk, deps), ...treeCalls(desk, deps), ...entryCalls(desk, deps) }
}

/** Who calls, and what it takes. */
type Desk = ReturnType<typeof createDesk>

function createDesk({ users, defaults, budget, strictFileUsers }: FilesServiceDeps) {
  const fileUser = createFileUsers(users, strictFileUsers)
  const userOf = (caller: Caller) => selectUser(users, caller.user, defaults.user, caller.since)
  const ownerOf = async (caller: Caller) => fileUser(await userOf(caller))
  const holdFor = (caller: Caller, { name }: User) => budget.hold('edit', { connection: caller.connection, user: name })
  return {
    userOf,
    ownerOf,
    holdFor,
    resolve: (path: string, user: User) => resolvePath(path, user, defaults.workdir),
    /** Runs what takes memory for a caller. */
    counted: async <T>(caller: Caller, work: (owner: FileUser, hold: Hold) => Promise<T>): Promise<T> => {
      const owner = await ownerOf(caller)
      const hold = holdFor(caller, owner)
      try {
        return await work(owner, hold)
      } finally {
        hold.release()
      }
    },
    /** Streams what takes memory for a caller. */
    async *countedStream<T>(
      caller: StreamCaller,
      work: (owner: FileUser, hold: Hold) => AsyncIterable<T>,
    ): AsyncGenerator<T, void> {
      const owner = await ownerOf(caller)
      const hold = holdFor(caller, owner)
      try {
        yield* work(owner, hold)
      } finally {
        hold.release()
      }
    },
  }
}

type EditCalls = Pick<FilesService, 'readLines' | 'edit' | 'undo'>

function editCalls({ counted, resolve }: Desk, { budget, log }: FilesServiceDeps): EditCalls {
  const journal = new UndoJournal(budget.hold('edit', { connection: undefined, user: undefined }), budget.total)
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

type SearchCalls = Pick<FilesService, 'find' | 'grep' | 'checksum'>

function searchCalls({ countedStream, userOf, resolve }: Desk, { users, searches }: FilesServiceDeps): SearchCalls {
  async function* search<T>(
    caller: StreamCaller,
    run: (context: SearchContext) => AsyncIterable<T>,
  ): AsyncGenerator<T, void> {
    const user = await identityOf(await userOf(caller), users)
    const { keepalive, signal } = caller
    yield* countedStream(caller, (owner, hold) => run({ owner, user, processes: searches, keepalive, signal, hold }))
  }
  return {
    find: (request, caller) =>
      search(caller, (context) => find(resolve(request.path, context.owner), toFindQuery(request), context)),
    grep: (request, caller) =>
      search(caller, (context) => grep(resolve(request.path, context.owner), toGrepQuery(request), context)),
    checksum: ({ path }, caller) =>
      countedStream(caller, (owner, hold) => {
        const { keepalive, signal } = caller
        return checksum(resolve(path, owner), { owner, keepalive, signal, hold })
      }),
  }
}

type TreeCalls = Pick<FilesService, 'copy' | 'setAttributes' | 'diskUsage'>

function treeCalls({ countedStream, resolve }: Desk, { users, log }: FilesServiceDeps): TreeCalls {
  return {
    copy: (request, caller) =>
      countedStream(caller, (owner, hold) => {
        const { recursive, replace, keepOwners } = request
        for (const field of ['source', 'destination'] as const)
          if (request[field] === '') throw new AppError('invalid_argument', `${field} must not be empty`)
        const [source, destination] = [resolve(request.source, owner), resolve(request.destination, owner)]
        const how = { recursive, replace, keepOwners }
        return copyPath({ source, destination, ...how, owner, hold, log, signal: caller.signal })
      }),
    setAttributes: (request, caller) =>
      countedStream(caller, (owner, hold) => {
        if (request.path === '') throw new AppError('invalid_argument', 'path must not be empty')
        const path = resolve(request.path, owner)
        return setAttributes(request, { path, owner, users, hold, signal: caller.signal })
      }),
    diskUsage: ({ path, depth, oneFilesystem }, caller) =>
      countedStream(caller, (owner, hold) =>
        diskUsage(resolve(path, owner), { owner, hold, depth, oneFilesystem, signal: caller.signal }),
      ),
  }
}

type EntryCalls = Pick<FilesService, 'symlink' | 'readLink' | 'truncate'>

function entryCalls({ ownerOf, resolve }: Desk, { log }: FilesServiceDeps): EntryCalls {
  return {
    async symlink({ target, path }, caller) {
      const owner = await ownerOf(caller)
      if (path === '') throw new AppError('invalid_argument', 'path must not be empty')
      await makeSymlink(target, resolve(path, owner), owner)
      return {}
    },
    async readLink({ path }, caller) {
      const owner = await ownerOf(caller)
      const target = await readSymlink(resolve(path, owner), owner)
      return { target: target.toString(), ...(isUtf8(target) ? {} : { rawTarget: target }) }
    },
    async truncate({ path, size }, caller) {
      const owner = await ownerOf(caller)
      return { etag: await truncateFile(resolve(path, owner), size, { owner, log }) }
    },
  }
}
