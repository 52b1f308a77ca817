import { isUtf8 } from 'node:buffer'
import type * as Diff from 'diff'
import { createLock } from '../lib/lock.ts'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'
import { loopTurns } from '../lib/turns.ts'
import { changedRegion } from './changed-region.ts'
import { MAX_COMPARED_BYTES, MAX_COMPARED_LINES } from './limits.ts'

/** A file before and after; undefined: it is not there. */
interface Versions {
  /** Absolute. */
  readonly path: string
  readonly before: Buffer | undefined
  readonly after: Buffer | undefined
}

const CONTEXT_LINES = 3
const LINE_FEED = 10

/** Lines that differ, up to which all is compared at once: some milliseconds at most. */
const AT_ONCE = 100
/** With more than these the region is shown as a whole: comparing takes the square of it, 10 MB and some 0.1 s. */
const MOST = 400

/** Such comparisons in one answer; further regions are shown as a whole. */
const MOST_COMPARISONS = 4

/** One at a time, over all calls: each is in memory as a whole. */
const comparing = createLock()

/** Bytes between two looks at the clock. */
const COUNTED = 256 * 1024

/** What describing the changes of one answer may still cost. */
interface DiffEffort {
  /** Comparisons of more than `AT_ONCE` lines. */
  comparisons: number
  readonly slice: TimeSlice
  readonly signal: AbortSignal
}

/** For one answer. @param signal ends the waits of its comparisons. */
export function createDiffEffort(signal: AbortSignal): DiffEffort {
  return { comparisons: MOST_COMPARISONS, slice: createTimeSlice(), signal }
}

/**
 * The changes of a file as a unified diff with three lines of context, for `patch -p1 -d /`; empty for none. Undefined:
 * they span more than 128 KiB or 10,000 lines, or are not UTF-8 text. Does not hold the event loop for more than some
 * milliseconds.
 * Rejects with the reason of the effort's signal.
 */
export async function unifiedDiff({ path, before, after }: Versions, effort: DiffEffort): Promise<string | undefined> {
  // Even what is compared at once takes some milliseconds, and many calls may come together.
  await loopTurns.next(effort)
  const [old, fresh] = [before ?? EMPTY, after ?? EMPTY]
  const { prefix, suffix } = changedRegion(old, fresh)
  const start = startOfContext(old, prefix)
  if (before !== undefined && after !== undefined && prefix === old.length && prefix === fresh.length) return ''
  const rest = suffix - contextBytes(old.subarray(old.length - suffix))
  const [oldPart, freshPart] = [old.subarray(start, old.length - rest), fresh.subarray(start, fresh.length - rest)]
  if (!isShown(oldPart) || !isShown(freshPart)) return undefined
  const diff = await import('diff')
  const hunks = await compare(diff, [oldPart.toString(), freshPart.toString()], effort)
  const lines = await countLines(old.subarray(0, start), effort.slice)
  const shifted = hunks.map((hunk) => ({ ...hunk, oldStart: hunk.oldStart + lines, newStart: hunk.newStart + lines }))
  const oldFileName = before === undefined ? '/dev/null' : `a${path}`
  const newFileName = after === undefined ? '/dev/null' : `b${path}`
  const patch = { oldFileName, newFileName, oldHeader: undefined, newHeader: undefined, hunks: shifted }
  return diff.formatPatch(patch, diff.FILE_HEADERS_ONLY)
}

const EMPTY = Buffer.alloc(0)

function isShown(part: Buffer): boolean {
  return part.length <= MAX_COMPARED_BYTES && isUtf8(part) && !part.includes(0) && hasFewLines(part)
}

function hasFewLines(part: Buffer): boolean {
  let lines = 0
  for (const byte of part) if (byte === LINE_FEED) lines++
  return lines <= MAX_COMPARED_LINES
}

/** Where the lines of context before a position begin. */
function startOfContext(content: Buffer, position: number): number {
  let start = position
  for (let lines = 0; lines <= CONTEXT_LINES && start > 0; lines++)
    start = content.subarray(0, start - (lines === 0 ? 0 : 1)).lastIndexOf(LINE_FEED) + 1
  return start
}

/** Bytes of the lines of context at the beginning of what is the same in both. */
function contextBytes(rest: Buffer): number {
  let end = 0
  for (let lines = 0; lines <= CONTEXT_LINES; lines++) {
    const next = rest.indexOf(LINE_FEED, end)
    if (next < 0) return rest.length
    end = next + 1
  }
  return end
}

async function compare(
  diff: typeof Diff,
  [before, after]: readonly [string, string],
  effort: DiffEffort,
): Promise<Diff.StructuredPatchHunk[]> {
  const options = { context: CONTEXT_LINES }
  const soon = diff.structuredPatch('', '', before, after, '', '', { ...options, maxEditLength: AT_ONCE })
  if (soon !== undefined) return soon.hunks
  if (effort.comparisons-- <= 0) return [whole(before, after)]
  const release = await comparing.acquire(effort.signal)
  const later = await new Promise<Diff.StructuredPatch | undefined>((resolve) =>
    diff.structuredPatch('', '', before, after, '', '', { ...options, maxEditLength: MOST, callback: resolve }),
  ).finally(release)
  return later?.hunks ?? [whole(before, after)]
}

/** All lines of one by all of the other. */
function whole(before: string, after: string): Diff.StructuredPatchHunk {
  const [old, fresh] = [linesOf(before), linesOf(after)]
  const lines = [...signed('-', old, before), ...signed('+', fresh, after)]
  return { oldStart: 1, oldLines: old.length, newStart: 1, newLines: fresh.length, lines }
}

function linesOf(text: string): string[] {
  if (text === '') return []
  return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n')
}

function signed(sign: string, lines: readonly string[], text: string): string[] {
  const all = lines.map((line) => sign + line)
  return text === '' || text.endsWith('\n') ? all : [...all, '\\ No newline at end of file']
}

async function countLines(content: Buffer, slice: TimeSlice): Promise<number> {
  let lines = 0
  for (let at = 0; at < content.length; at++) {
    if (content[at] === LINE_FEED) lines++
    if (at % COUNTED === 0) await slice.next()
  }
  return lines
}
