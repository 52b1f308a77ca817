import { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { issueTag } from '../filesystem/entity-tag.ts'
import { failureKind, reasonOf } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import type { StagedFile } from '../filesystem/store-beside.ts'
import { stageFile } from '../filesystem/upload.ts'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { NEVER } from '../lib/never.ts'
import type { Log } from '../log.ts'
import type { WholeFile } from './read-whole.ts'
import { removeVersion } from './remove-version.ts'

/** How one file changes. */
export interface Change {
  /** Absolute. */
  readonly path: string
  /** Content that the file must have still; undefined: there must be no file. */
  readonly before: WholeFile | undefined
  /** Undefined: it is removed. */
  readonly after: Buffer | undefined
}

interface ApplyOptions {
  readonly owner: FileUser
  readonly signal: AbortSignal
  readonly log: Log
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
}

/** Files that are written beside at a time: each waits for the disk. */
const AT_ONCE = 4

/**
 * Makes all the changes or none, each file in one step: all are written beside first, then put in their places one
 * after the other. If that fails in the middle, those before are put back. Directories that were made stay. Rejects
 * with AppError: condition_failed if a file is not as it was read, invalid_argument if two paths are one file, and as
 * uploads in one step do.
 * @returns the tag of each, undefined for those that were removed.
 */
export async function applyChanges(changes: readonly Change[], options: ApplyOptions): Promise<(string | undefined)[]> {
  const staged = new Map<Change, StagedFile>()
  try {
    await forEachLimited(changes, AT_ONCE, async (change) => {
      const { path, before, after } = change
      if (after !== undefined) staged.set(change, await stage(path, { before, after }, options))
    })
    checkPlaces(staged)
    return await placeAll(changes, staged, options)
  } finally {
    for (const file of staged.values()) await file.release()
  }
}

function stage(
  path: string,
  { before, after }: { readonly before: WholeFile | undefined; readonly after: Buffer },
  { owner, signal, log, hold }: ApplyOptions,
): Promise<StagedFile> {
  const expected = before?.tag
  return stageFile(Readable.from(copiesOf(after)), {
    ...{ path, owner, signal, log, hold, mode: expected === undefined ? 'create' : 'atomic', metadata: undefined },
    ...(expected === undefined ? {} : { condition: (current) => current?.tag === expected }),
  })
}

/** Bytes of one of these, which are made as they are written. */
const COPY_BYTES = 256 * 1024

/** The content in pieces that the writer may free. */
function* copiesOf(content: Buffer): Generator<Buffer> {
  for (let at = 0; at < content.length; at += COPY_BYTES) yield Buffer.from(content.subarray(at, at + COPY_BYTES))
}

function checkPlaces(staged: ReadonlyMap<Change, StagedFile>): void {
  const places = new Map<string, string>()
  for (const [{ path }, { key }] of staged) {
    const other = places.get(key)
    if (other !== undefined) throw new AppError('invalid_argument', `'${other}' and '${path}' are the same file`)
    places.set(key, path)
  }
}

async function placeAll(
  changes: readonly Change[],
  staged: ReadonlyMap<Change, StagedFile>,
  options: ApplyOptions,
): Promise<(string | undefined)[]> {
  const tags: (string | undefined)[] = []
  try {
    for (const change of changes) {
      options.signal.throwIfAborted()
      const file = staged.get(change)
      if (file !== undefined) tags.push(issueTag((await file.place()).version))
      else {
        await removeVersion(change.path, options.owner, change.before?.tag ?? '')
        tags.push(undefined)
      }
    }
    return tags
  } catch (error) {
    throw await putBack(changes.slice(0, tags.length), tags, error, options)
  }
}

/** Returns the error to answer with. The caller may have left. */
async function putBack(
  changes: readonly Change[],
  tags: readonly (string | undefined)[],
  cause: unknown,
  options: ApplyOptions,
): Promise<unknown> {
  const failed: string[] = []
  for (const [index, { path, before, after }] of [...changes.entries()].reverse()) {
    const tag = tags[index]
    try {
      if (before === undefined) await removeVersion(path, options.owner, tag ?? '')
      else {
        const now = after === undefined || tag === undefined ? undefined : { content: after, tag }
        const file = await stage(path, { before: now, after: before.content }, { ...options, signal: NEVER })
        await file.place().finally(() => file.release())
      }
    } catch {
      failed.push(path)
    }
  }
  if (failed.length === 0) return cause
  const kind = cause instanceof AppError ? cause.kind : failureKind(cause)
  return new AppError(kind, `${reasonOf(cause)}; these were changed and could not be put back: ${failed.join(', ')}`, {
    cause,
  })
}
