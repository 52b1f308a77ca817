import type { MessageInitShape } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import type {
  EditedFileSchema,
  FileEdit,
  ReadLinesRequest,
  ReadLinesResponseSchema,
  Replacement,
} from '../gen/files/v1/files_pb.js'
import type { EditedFile, FileEditing } from './edit.ts'
import { MAX_EDITED_FILES, MAX_LINE_BYTES, MAX_LINES, MAX_REPLACEMENTS } from './limits.ts'
import type { LineRange } from './line-reader.ts'
import type { readLines } from './read-lines.ts'
import type { Replacing } from './replace.ts'

const DEFAULT_LINES = 1_000
const DEFAULT_LINE_BYTES = 2_000

/** Throws AppError invalid_argument for more than is possible. */
export function toRange({ from, count, maxLineBytes }: ReadLinesRequest): LineRange {
  if (count > MAX_LINES) throw new AppError('invalid_argument', `count is at most ${MAX_LINES}`)
  if (maxLineBytes > MAX_LINE_BYTES)
    throw new AppError('invalid_argument', `max_line_bytes is at most ${MAX_LINE_BYTES}`)
  return {
    from: Math.max(1, Math.min(Number(from), Number.MAX_SAFE_INTEGER)),
    count: count || DEFAULT_LINES,
    lineBytes: maxLineBytes || DEFAULT_LINE_BYTES,
  }
}

/** The wire's form of lines. */
export function toLines({
  lines,
  total,
  more,
  tag,
}: Awaited<ReturnType<typeof readLines>>): MessageInitShape<typeof ReadLinesResponseSchema> {
  return {
    lines: lines.map(({ number, text, cutFromBytes, notUtf8 }) => ({
      ...{ number: BigInt(number), text, notUtf8 },
      ...(cutFromBytes === undefined ? {} : { cutFromBytes: BigInt(cutFromBytes) }),
    })),
    ...(total === undefined ? {} : { total: BigInt(total) }),
    ...(tag === undefined ? {} : { etag: tag }),
    more,
  }
}

/** @param resolve makes a path absolute. Throws AppError invalid_argument. */
export function toEdits(files: readonly FileEdit[], resolve: (path: string) => string): FileEditing[] {
  if (files.length === 0) throw new AppError('invalid_argument', 'an edit needs a file')
  if (files.length > MAX_EDITED_FILES)
    throw new AppError('invalid_argument', `an edit has at most ${MAX_EDITED_FILES} files`)
  const edits = files.map((file) => toEdit(file, resolve))
  const replacements = edits.reduce((sum, { change }) => sum + (Buffer.isBuffer(change) ? 0 : change.length), 0)
  if (replacements > MAX_REPLACEMENTS)
    throw new AppError('invalid_argument', `an edit has at most ${MAX_REPLACEMENTS} replacements`)
  return edits
}

function toEdit({ path, etag, change }: FileEdit, resolve: (path: string) => string): FileEditing {
  if (path === '') throw new AppError('invalid_argument', 'path must not be empty')
  const target = { path: resolve(path), tag: etag }
  switch (change.case) {
    case 'content':
      return { ...target, change: Buffer.from(change.value) }
    case 'text':
      return { ...target, change: Buffer.from(change.value) }
    case 'replacements':
      if (change.value.replacements.length === 0) break
      return { ...target, change: change.value.replacements.map(toReplacing) }
    case undefined:
      break
  }
  throw new AppError('invalid_argument', `the edit of '${path}' needs replacements, text or content`)
}

function toReplacing({ oldText, newText, which }: Replacement): Replacing {
  const texts = { oldText: Buffer.from(oldText), newText: Buffer.from(newText) }
  if (which.case === 'occurrence') return { ...texts, which: which.value }
  return { ...texts, which: which.case === 'all' && which.value ? 'all' : 'only' }
}

/** The wire's form of a file that was edited. */
export function toEditedFile(file: EditedFile): MessageInitShape<typeof EditedFileSchema> {
  const { path, tag, diff, replaced, created, removed } = file
  return {
    ...{ path, replaced, created, removed },
    ...(tag === undefined ? {} : { etag: tag }),
    diff: diff ?? '',
    diffLeftOut: diff === undefined,
  }
}
