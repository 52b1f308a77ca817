import { create } from '@bufbuild/protobuf'
import { expect } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import type { Caller } from '../../src/calls/caller.ts'
import { createFilesystemService } from '../../src/filesystem/service.ts'
import {
  type EntryInfo,
  ListDirRequestSchema,
  MakeDirRequestSchema,
  MakeDirResponseSchema,
  MoveRequestSchema,
  MoveResponseSchema,
  RemoveRequestSchema,
  StatRequestSchema,
  StatResponseSchema,
} from '../../src/gen/filesystem/filesystem_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import { collected } from '../_util/collected.ts'
import { makePeople, type People } from '../_util/people.ts'

/**
 * The service in this process, for the users of `makePeople`; calls are the default user's, `ann`, unless one is named.
 */
export interface Files extends AsyncDisposable {
  readonly people: People
  readonly dir: string
  readonly defaults: { user: string; workdir: string | undefined }
  stat(path: string, user?: string): Promise<EntryInfo>
  makeDir(path: string): Promise<EntryInfo>
  move(source: string, destination: string): Promise<EntryInfo>
  list(path: string, depth?: number, signal?: AbortSignal): Promise<EntryInfo[]>
  remove(path: string): Promise<void>
}

export async function startFiles(options: { strictFileUsers?: boolean } = {}): Promise<Files> {
  const people = await makePeople()
  const defaults: Files['defaults'] = { user: 'ann', workdir: undefined }
  const budget = createByteBudget(256 * 1024 * 1024)
  const service = createFilesystemService({ users: people.users, defaults, budget, ...options })
  const by = (user?: string, signal = NEVER): Caller => {
    return { user, signal, userAgent: 'test', header: () => undefined }
  }
  const present = ({ entry }: { entry?: EntryInfo | undefined }): EntryInfo => {
    if (entry === undefined) throw new Error('no entry')
    return entry
  }
  return {
    people,
    dir: people.dir,
    defaults,
    stat: async (path, user) => {
      const response = await service.stat(create(StatRequestSchema, { path }), by(user))
      return present(create(StatResponseSchema, response))
    },
    makeDir: async (path) => {
      const response = await service.makeDir(create(MakeDirRequestSchema, { path }), by())
      return present(create(MakeDirResponseSchema, response))
    },
    move: async (source, destination) => {
      const response = await service.move(create(MoveRequestSchema, { source, destination }), by())
      return present(create(MoveResponseSchema, response))
    },
    list: async (path, depth = 1, signal) => {
      const pieces = service.listDir(create(ListDirRequestSchema, { path, depth }), by(undefined, signal))
      return (await collected(pieces)).flat()
    },
    remove: async (path) => {
      await service.remove(create(RemoveRequestSchema, { path }), by())
    },
    [Symbol.asyncDispose]: () => people[Symbol.asyncDispose](),
  }
}

/** An AppError of this kind, with this message or one that matches. */
export function refusal(kind: string, message: string | RegExp): unknown {
  return expect.objectContaining({
    kind,
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  })
}
