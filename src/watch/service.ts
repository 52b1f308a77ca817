import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { type AppError, CLOSED } from '../errors.ts'
import type { EntryInfo } from '../filesystem/entry.ts'
import { createFileUsers } from '../filesystem/file-user.ts'
import type { ChangesRequest } from '../gen/files/v1/files_pb.js'
import type {
  CreateWatcherRequest,
  FilesystemEventSchema,
  GetWatcherEventsRequest,
  RemoveWatcherRequest,
  WatchDirRequest,
} from '../gen/filesystem/filesystem_pb.js'
import { cleanPath } from '../lib/clean-path.ts'
import { NEVER } from '../lib/never.ts'
import { loopTurns } from '../lib/turns.ts'
import type { Actor } from '../native/files.ts'
import type { Defaults } from '../users/defaults.ts'
import { resolvePath, selectUser } from '../users/paths.ts'
import type { Users } from '../users/users.ts'
import { type Change, isGone } from './change.ts'
import { ChangeBuffer } from './change-buffer.ts'
import type { ChangeCursors } from './change-cursors.ts'
import { toChangedPaths, toQuery, unknownOf } from './convert.ts'
import { EXCLUDE_HEADER, parseExcludeHeader } from './exclude-header.ts'
import { type KeptWatchers, NOT_KEPT, type WatcherDefinition } from './kept-watchers.ts'
import type { PollContext, Pollers } from './pollers.ts'
import { openWatcher, type WatcherDeps, type WatchOptions } from './watcher.ts'

/** One item of a watch stream. Start comes first, when everything is armed. */
export type WatchItem =
  | { readonly kind: 'start' }
  | { readonly kind: 'event'; readonly event: FilesystemEvent }
  | { readonly kind: 'keepalive' }

/** A change as clients receive it. */
type FilesystemEvent = MessageInitShape<typeof FilesystemEventSchema>

/** A watch stream that is open. */
interface WatchStream {
  /** In pieces of some hundred items at most. */
  readonly batches: AsyncGenerator<readonly WatchItem[], void>
  /** Aborts when the stream must end although its client does not read. */
  readonly ended: AbortSignal
}

/** What a stream holds for one directory beside its tree and its changes: `watch.v1` has up to 256 for each connection. */
const WATCH_BYTES = 8 * 1024

/** Changes that are looked at and sent together. */
const BATCH = 256

/** Entries that are looked at together: enough for the thread pool, and not too many to be taken in one turn. */
const LOOKS = 48

interface WatchServiceDeps extends WatcherDeps {
  readonly users: Users
  readonly defaults: Pick<Defaults, 'user' | 'workdir'>
  readonly pollers: Pollers
  readonly cursors: ChangeCursors
  /** Users have no more than their own rights; default: false. */
  readonly strictFileUsers?: boolean
  /** Where polled watchers are kept for the next daemon. */
  readonly kept?: KeptWatchers
  /** Looks at a path; rejects when it is not there. */
  readonly readEntry: (path: string, actor: Actor) => Promise<EntryInfo>
}

/** The watching calls of `filesystem.Filesystem`. Each rejects with AppError. */
export type WatchService = ReturnType<typeof createWatchService>

/** Makes the service. Streams end with their callers; pollers live on until the owner of `pollers` closes it. */
export function createWatchService(deps: WatchServiceDeps) {
  const { budget, pollers, kept = NOT_KEPT } = deps
  const open = new Set<ChangeBuffer>()
  let dropped = 0
  return {
    /** Watchers that are open, streamed, polled and cursors, and the events that slow clients have lost so far. */
    activity: () => ({ watchers: open.size + pollers.size + deps.cursors.size, dropped: dropped + pollers.dropped }),

    /** Watches for one stream, which gets what happens from now on (contract C27). */
    watchDir: (request: WatchDirRequest, caller: StreamCaller) =>
      watchStream({ request, caller, open, onDrop: () => dropped++ }, deps),

    /** Starts a watcher that outlives the call (contract C40). */
    async createWatcher(request: CreateWatcherRequest, caller: Caller) {
      const options = await optionsOf(request, caller, deps)
      const context = { path: options.path, actor: options.actor, includeEntry: request.includeEntry }
      // It outlives its connection.
      const hold = budget.hold('events', { connection: undefined, user: options.user })
      const { includeEntry } = request
      const keep = (id: string) => kept.keep({ id, includeEntry, ...definitionOf(options) })
      const openIt = (buffer: ChangeBuffer) => openWatcher(deps, options, buffer, caller.signal)
      return { watcherId: await pollers.add(context, openIt, { hold, keep }) }
    },

    /** Makes the polled watchers of the daemon before this one anew, under their ids. */
    restore(): void {
      for (const { definition, forget } of kept.before) {
        const hold = budget.hold('events', { connection: undefined, user: definition.user })
        pollers.restore(definition.id, (buffer) => openAnew(definition, buffer, deps), { hold, forget })
      }
    },

    /** Everything since the last poll (contract C41), in pieces of some hundred events at most. */
    async *getWatcherEvents({ watcherId }: GetWatcherEventsRequest): AsyncGenerator<readonly FilesystemEvent[], void> {
      const { changes, sent, ...context } = await pollers.poll(watcherId)
      const describe = describer(context, deps)
      let at = 0
      try {
        for (; at < changes.length; at += BATCH) {
          yield await describe(changes.slice(at, at + BATCH))
          sent(changes.slice(at, at + BATCH))
        }
      } finally {
        sent(changes.slice(at))
      }
    },

    /** What has changed since a token (`files.v1.Files/Changes`). */
    async changes(request: ChangesRequest, caller: Caller) {
      const query = toQuery(request, caller.signal)
      const options = await watchOptions(request, caller, deps)
      const { changes, unknown, ...rest } = await deps.cursors.changes(options, query)
      const look = (name: string) => deps.readEntry(cleanPath(`${options.path}/${name}`), options.actor)
      return {
        ...rest,
        ...unknownOf(unknown),
        changes: await toChangedPaths(changes, request.includeEntry ? look : undefined),
      }
    },

    async removeWatcher({ watcherId }: RemoveWatcherRequest) {
      pollers.remove(watcherId)
      return {}
    },
  }
}

interface WatchCall {
  readonly request: WatchDirRequest
  readonly caller: StreamCaller
  /** Has the buffer of the stream in it as long as it is open. */
  readonly open: Set<ChangeBuffer>
  readonly onDrop: () => void
}

async function watchStream({ request, caller, open, onDrop }: WatchCall, deps: WatchServiceDeps): Promise<WatchStream> {
  const options = await optionsOf(request, caller, deps)
  const ended = new AbortController()
  const hold = deps.budget.hold('events', { connection: caller.connection, user: options.user })
  hold.grow(WATCH_BYTES)
  const onLoss = () => {
    buffer.discard()
    ended.abort(CLOSED)
  }
  const buffer = new ChangeBuffer({ hold, onLoss, onDrop })
  const watcher = await openWatcher(deps, options, buffer, caller.signal).catch((error: unknown) => {
    buffer.close()
    throw error
  })
  open.add(buffer)
  const end = () => {
    open.delete(buffer)
    watcher.close()
    buffer.close()
    ended.abort(CLOSED)
  }
  caller.signal.addEventListener('abort', end, { once: true })
  if (caller.signal.aborted) end()
  const describe = describer({ ...options, includeEntry: request.includeEntry }, deps)
  return { batches: follow({ buffer, caller, describe, end }), ended: ended.signal }
}

async function optionsOf(
  request: WatchDirRequest | CreateWatcherRequest,
  caller: Caller,
  deps: WatchServiceDeps,
): Promise<WatchOptions> {
  return watchOptions({ ...request, exclude: parseExcludeHeader(caller.header(EXCLUDE_HEADER)) }, caller, deps)
}

/** What a caller wants to watch. Rejects with AppError. */
async function watchOptions(
  { path: given, recursive, allowNetworkMounts, exclude }: Omit<WatchOptions, 'actor' | 'user'>,
  caller: Caller,
  { users, defaults, strictFileUsers }: WatchServiceDeps,
): Promise<WatchOptions> {
  const user = await selectUser(users, caller.user, defaults.user)
  const actor = await createFileUsers(users, strictFileUsers)(user)
  const path = cleanPath(resolvePath(given, user, defaults.workdir))
  return { path, actor, recursive, allowNetworkMounts, exclude, user: user.name }
}

function definitionOf({ path, recursive, allowNetworkMounts, exclude, user }: WatchOptions) {
  return { path, recursive, allowNetworkMounts, exclude, user }
}

async function openAnew(definition: WatcherDefinition, buffer: ChangeBuffer, deps: WatchServiceDeps) {
  const { users, defaults, strictFileUsers } = deps
  const actor = await createFileUsers(users, strictFileUsers)(await selectUser(users, definition.user, defaults.user))
  const watcher = await openWatcher(deps, { ...definition, actor }, buffer, NEVER)
  return { watcher, context: { path: definition.path, actor, includeEntry: definition.includeEntry } }
}

type Describe = (changes: readonly Change[]) => Promise<readonly FilesystemEvent[]>

/**
 * Events with a look at the entry where there can be one; without it when it is gone already (contract C39), or out of
 * the reader's reach.
 */
function describer({ path: root, actor, includeEntry }: PollContext, { readEntry }: WatchServiceDeps): Describe {
  if (!includeEntry) return async (changes) => changes
  return async (changes) => {
    // Most changes of one moment are of few files.
    const looks = new Map<string, Promise<EntryInfo | undefined>>()
    const look = (name: string) => {
      const begun = looks.get(name) ?? readEntry(cleanPath(`${root}/${name}`), actor).catch(() => undefined)
      looks.set(name, begun)
      return begun
    }
    const describe = async (change: Change): Promise<FilesystemEvent> => {
      if (isGone(change.type)) return change
      const entry = await look(change.name)
      return entry === undefined ? change : { ...change, entry }
    }
    const events: FilesystemEvent[] = []
    for (let at = 0; at < changes.length; at += LOOKS)
      events.push(...(await Promise.all(changes.slice(at, at + LOOKS).map(describe))))
    return events
  }
}

interface Following {
  readonly buffer: ChangeBuffer
  readonly caller: StreamCaller
  readonly describe: Describe
  readonly end: () => void
}

async function* follow({ buffer, caller, describe, end }: Following): AsyncGenerator<readonly WatchItem[], void> {
  try {
    yield [{ kind: 'start' }]
    for (;;) {
      // The buffer wakes in its turn; a client that takes everything at once must not keep others from theirs.
      if (buffer.length > 0) await loopTurns.turn(buffer)
      else if (!(await buffer.waiting(caller.keepalive, caller.signal))) yield [{ kind: 'keepalive' }]
      const changes = buffer.take(BATCH)
      const events = await describe(changes)
      if (events.length > 0) yield events.map((event) => ({ kind: 'event', event }))
      buffer.sent(changes)
      const over: AppError | undefined = buffer.ended
      if (over !== undefined && buffer.length === 0) throw over
    }
  } finally {
    caller.signal.removeEventListener('abort', end)
    end()
  }
}
