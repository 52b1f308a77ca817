import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { conditionFailed } from '../filesystem/write-condition.ts'
import type { Log } from '../log.ts'
import { applyChanges, type Change } from './change-set.ts'
import { checkDistinct } from './distinct-files.ts'
import { MAX_DIFF_BYTES, MAX_EDITED_BYTES } from './limits.ts'
import { readWhole } from './read-whole.ts'
import { type Replacing, replaceAll } from './replace.ts'
import { type UndoJournal, undoneContent } from './undo-journal.ts'
import { createDiffEffort, unifiedDiff } from './unified-diff.ts'

/** What is to become of one file. */
export interface FileEditing {
  /** Absolute. */
  readonly path: string
  /** The tag that it must have; empty: there must be no file; undefined: whatever is there. */
  readonly tag: string | undefined
  /** Replacements, or the whole new content. */
  readonly change: readonly Replacing[] | Buffer
}

/** What has become of one file. */
export interface EditedFile {
  readonly path: string
  /** Tag of the file as it is now; undefined: it is gone, or nothing was written. */
  readonly tag: string | undefined
  /** Undefined: it is left out. */
  readonly diff: string | undefined
  readonly replaced: number
  readonly created: boolean
  readonly removed: boolean
}

/** Who edits. */
interface EditContext {
  readonly owner: FileUser
  readonly signal: AbortSignal
  readonly log: Log
  /** Counts everything that is in memory for it; the caller releases it. */
  readonly hold: Hold
  readonly journal: UndoJournal
  /** Nothing is written. */
  readonly dryRun: boolean
}

/** A change, and how many places of it were replaced. */
interface Planned extends Change {
  readonly replaced: number
}

/**
 * Edits files: all of them, or none (`applyChanges`). Rejects with AppError: not_found for a file to be replaced in,
 * condition_failed if one has not the tag that is expected, invalid_argument for two paths of one file,
 * failed_precondition and too_large as `replaceAll` and `readWhole`.
 */
export async function editFiles(
  edits: readonly FileEditing[],
  context: EditContext,
): Promise<{ files: EditedFile[]; edit: bigint | undefined }> {
  await checkDistinct(
    edits.map(({ path }) => path),
    context.owner,
    context.signal,
  )
  const planned: Planned[] = []
  for (const edit of edits) planned.push(await plan(edit, context))
  const { files, written, tags } = await carryOut(planned, context)
  if (context.dryRun || written.length === 0) return { files, edit: undefined }
  return { files, edit: context.journal.add(context.owner.name, written, tags) }
}

/**
 * Takes back an edit of the user's; undefined: the last one. Rejects with AppError: not_found if there is none,
 * condition_failed if one of its files is not as the edit has left it.
 */
export async function undoEdit(
  id: bigint | undefined,
  context: EditContext,
): Promise<{ files: EditedFile[]; edit: bigint }> {
  const { journal, owner, signal, dryRun } = context
  return journal.alone(owner.name, signal, async () => {
    const entry = journal.find(owner.name, id)
    if (entry === undefined)
      throw new AppError('not_found', id === undefined ? 'there is no edit to take back' : `edit ${id} is not kept`)
    const planned: Planned[] = []
    for (const { path, after, before } of entry.files) {
      const now = await readWhole(path, context)
      if (now?.tag !== after) throw conditionFailed(path)
      if (before !== undefined) context.hold.grow(before.content.length + before.region.prefix + before.region.suffix)
      planned.push({ path, before: now, after: before && undoneContent(now.content, before), replaced: 0 })
    }
    const { files } = await carryOut(planned, context)
    if (dryRun) return { files, edit: entry.id }
    journal.remove(entry)
    for (const [index, { path, before }] of entry.files.entries()) {
      const tag = files[index]?.tag
      if (before !== undefined && tag !== undefined) journal.retag(path, before.tag, tag)
    }
    return { files, edit: entry.id }
  })
}

async function plan({ path, tag, change }: FileEditing, context: EditContext): Promise<Planned> {
  context.signal.throwIfAborted()
  const before = await readWhole(path, context)
  if (tag !== undefined && (before?.tag ?? '') !== tag) throw conditionFailed(path)
  if (Buffer.isBuffer(change)) {
    if (change.length > MAX_EDITED_BYTES)
      throw new AppError('too_large', `the content for '${path}' is larger than ${MAX_EDITED_BYTES} bytes`)
    return { path, before, after: change, replaced: 0 }
  }
  if (before === undefined) throw new AppError('not_found', `path '${path}' does not exist`)
  const { content, count } = await replaceAll(before.content, change, { path, ...context })
  return { path, before, after: content, replaced: count }
}

/** Writes what is not as it should be, unless it is a dry run, and describes all. */
async function carryOut(planned: readonly Planned[], context: EditContext) {
  const diffs: (string | undefined)[] = []
  const effort = createDiffEffort(context.signal)
  let bytes = 0
  for (const change of planned) {
    const diff = await unifiedDiff({ ...change, before: change.before?.content }, effort)
    bytes += Buffer.byteLength(diff ?? '')
    diffs.push(bytes > MAX_DIFF_BYTES ? undefined : diff)
  }
  context.hold.grow(Math.min(bytes, MAX_DIFF_BYTES))
  const written = planned.filter(
    ({ before, after }) => before === undefined || after === undefined || !before.content.equals(after),
  )
  const tags = context.dryRun ? [] : await applyChanges(written, context)
  const files = planned.map((change, index) => {
    const at = written.indexOf(change)
    return {
      path: change.path,
      tag: at < 0 ? change.before?.tag : tags[at],
      diff: diffs[index],
      replaced: change.replaced,
      created: change.before === undefined,
      removed: change.after === undefined,
    }
  })
  return { files, written, tags }
}
