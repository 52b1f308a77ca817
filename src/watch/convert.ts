import type { MessageInitShape } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import type { EntryInfo } from '../filesystem/entry.ts'
import type { ChangedPathSchema, ChangesRequest } from '../gen/files/v1/files_pb.js'
import { isGone } from './change.ts'
import type { PathChange } from './change-cursor.ts'

/** Proxies give up on answers that take longer. */
const MAX_WAIT_MS = 60_000
const DEFAULT_PATHS = 1_000
const MAX_PATHS = 10_000
/** Entries have metadata of any length, and all of an answer are in memory at once. */
const MAX_PATHS_WITH_ENTRIES = 256
/** Entries that are looked at together. */
const LOOKS = 48

/** The query of a request. Throws AppError `invalid_argument` for values out of range. */
export function toQuery({ token, waitMs, limit, includeEntry }: ChangesRequest, signal: AbortSignal) {
  const most = includeEntry ? MAX_PATHS_WITH_ENTRIES : MAX_PATHS
  if (waitMs > MAX_WAIT_MS) throw new AppError('invalid_argument', `wait_ms is at most ${MAX_WAIT_MS}`)
  if (limit > most) throw new AppError('invalid_argument', `limit is at most ${most}`)
  return { token, wait: waitMs, most: limit || Math.min(DEFAULT_PATHS, most), signal }
}

/** The fields that say that, and why, changes are not known. */
export function unknownOf(reason: string | undefined) {
  return { unknown: reason !== undefined, reason: reason ?? '' }
}

type ChangedPath = MessageInitShape<typeof ChangedPathSchema>

/** @param look finds the entry; undefined: none is wanted. What cannot be looked at has none. */
export async function toChangedPaths(
  changes: readonly PathChange[],
  look: ((name: string) => Promise<EntryInfo>) | undefined,
): Promise<ChangedPath[]> {
  const one = async ({ name, raw, types }: PathChange): Promise<ChangedPath> => {
    const changed = { path: name, types: [...types], ...(raw === undefined ? {} : { rawPath: raw }) }
    const last = types.at(-1)
    if (look === undefined || last === undefined || isGone(last) || raw !== undefined) return changed
    const entry = await look(name).catch(() => undefined)
    return entry === undefined ? changed : { ...changed, entry }
  }
  const paths: ChangedPath[] = []
  for (let at = 0; at < changes.length; at += LOOKS)
    paths.push(...(await Promise.all(changes.slice(at, at + LOOKS).map(one))))
  return paths
}
