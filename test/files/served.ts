import { chown } from 'node:fs/promises'
import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import { type ByteBudget, createByteBudget } from '../../src/budget/budget.ts'
import type { StreamCaller } from '../../src/calls/caller.ts'
import type { ChecksumItem } from '../../src/files/checksum.ts'
import type { UsageItem } from '../../src/files/disk-usage.ts'
import type { FindItem } from '../../src/files/find.ts'
import type { GrepItem } from '../../src/files/grep.ts'
import { SearchProcesses } from '../../src/files/search-process.ts'
import { createFilesService, type FilesServiceDeps, type TreeProgress } from '../../src/files/service.ts'
import {
  ChecksumRequestSchema,
  CopyRequestSchema,
  DiskUsageRequestSchema,
  EditRequestSchema,
  EditResponseSchema,
  FindRequestSchema,
  GrepRequestSchema,
  ReadLinesRequestSchema,
  ReadLinesResponseSchema,
  ReadLinkRequestSchema,
  ReadLinkResponseSchema,
  SetAttributesRequestSchema,
  SymlinkRequestSchema,
  TruncateRequestSchema,
  TruncateResponseSchema,
  UndoRequestSchema,
  UndoResponseSchema,
} from '../../src/gen/files/v1/files_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import type { Log } from '../../src/log.ts'
import { spawn } from '../../src/native/index.ts'
import { makePeople, type People } from '../_util/people.ts'

/** The service in this process, for the users of `makePeople`; calls are `ann`'s unless another user is named. */
export interface Served extends AsyncDisposable {
  readonly people: People
  /** The home of ann, who owns it. */
  readonly home: string
  readonly budget: ByteBudget
  readLines(
    request: MessageInitShape<typeof ReadLinesRequestSchema>,
    by?: By,
  ): Promise<MessageShape<typeof ReadLinesResponseSchema>>
  edit(request: MessageInitShape<typeof EditRequestSchema>, by?: By): Promise<MessageShape<typeof EditResponseSchema>>
  /** The programs that search. */
  readonly searches: SearchProcesses
  grep(request: MessageInitShape<typeof GrepRequestSchema>, by?: By): AsyncGenerator<GrepItem[], void>
  find(request: MessageInitShape<typeof FindRequestSchema>, by?: By): AsyncGenerator<FindItem[], void>
  checksum(request: MessageInitShape<typeof ChecksumRequestSchema>, by?: By): AsyncGenerator<ChecksumItem[], void>
  copy(request: MessageInitShape<typeof CopyRequestSchema>, by?: By): AsyncGenerator<TreeProgress, void>
  setAttributes(
    request: MessageInitShape<typeof SetAttributesRequestSchema>,
    by?: By,
  ): AsyncGenerator<TreeProgress, void>
  diskUsage(request: MessageInitShape<typeof DiskUsageRequestSchema>, by?: By): AsyncGenerator<UsageItem[], void>
  symlink(request: MessageInitShape<typeof SymlinkRequestSchema>, by?: By): Promise<void>
  readLink(
    request: MessageInitShape<typeof ReadLinkRequestSchema>,
    by?: By,
  ): Promise<MessageShape<typeof ReadLinkResponseSchema>>
  truncate(
    request: MessageInitShape<typeof TruncateRequestSchema>,
    by?: By,
  ): Promise<MessageShape<typeof TruncateResponseSchema>>
  undo(request?: MessageInitShape<typeof UndoRequestSchema>, by?: By): Promise<MessageShape<typeof UndoResponseSchema>>
}

interface By {
  readonly user?: string
  readonly signal?: AbortSignal
  /** Milliseconds. */
  readonly keepalive?: number
}

type Options = Partial<Pick<FilesServiceDeps, 'strictFileUsers' | 'budget'>>

export async function serveFiles(options: Options = {}): Promise<Served> {
  const people = await makePeople()
  const { uid, gid, home } = people.ann
  await chown(home, uid, gid)
  const log: Log = { debug() {}, info() {}, warn() {}, error() {}, named: () => log }
  const budget = options.budget ?? createByteBudget(256 * 1024 * 1024)
  const defaults = { user: 'ann', workdir: undefined }
  const searches = new SearchProcesses(spawn)
  const service = createFilesService({ users: people.users, defaults, budget, log, searches, ...options })
  const by = ({ user, signal = NEVER, keepalive = 60_000 }: By = {}): StreamCaller => {
    return { user, signal, keepalive, deadline: undefined, userAgent: 'test', header: () => undefined }
  }
  return {
    people,
    home,
    budget,
    readLines: async (request, who) =>
      create(ReadLinesResponseSchema, await service.readLines(create(ReadLinesRequestSchema, request), by(who))),
    edit: async (request, who) =>
      create(EditResponseSchema, await service.edit(create(EditRequestSchema, request), by(who))),
    undo: async (request = {}, who) =>
      create(UndoResponseSchema, await service.undo(create(UndoRequestSchema, request), by(who))),
    searches,
    grep: (request, who) => service.grep(create(GrepRequestSchema, request), by(who)),
    checksum: (request, who) => service.checksum(create(ChecksumRequestSchema, request), by(who)),
    copy: (request, who) => service.copy(create(CopyRequestSchema, request), by(who)),
    setAttributes: (request, who) => service.setAttributes(create(SetAttributesRequestSchema, request), by(who)),
    diskUsage: (request, who) => service.diskUsage(create(DiskUsageRequestSchema, request), by(who)),
    symlink: async (request, who) => void (await service.symlink(create(SymlinkRequestSchema, request), by(who))),
    readLink: async (request, who) =>
      create(ReadLinkResponseSchema, await service.readLink(create(ReadLinkRequestSchema, request), by(who))),
    truncate: async (request, who) =>
      create(TruncateResponseSchema, await service.truncate(create(TruncateRequestSchema, request), by(who))),
    find: (request, who) => service.find(create(FindRequestSchema, request), by(who)),
    [Symbol.asyncDispose]: () => people[Symbol.asyncDispose](),
  }
}

/** One replacement, as the request has it. */
export function replace(path: string, oldText: string, newText: string, which: Which = undefined) {
  const chosen =
    which === undefined
      ? {}
      : which === 'all'
        ? { which: { case: 'all' as const, value: true } }
        : { which: { case: 'occurrence' as const, value: which } }
  const replacements = [{ oldText, newText, ...chosen }]
  return { path, change: { case: 'replacements' as const, value: { replacements } } }
}

type Which = 'all' | number | undefined

/** The whole new content, as the request has it. */
export function write(path: string, text: string, etag?: string) {
  return { path, change: { case: 'text' as const, value: text }, ...(etag === undefined ? {} : { etag }) }
}
