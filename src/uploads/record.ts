import type { PartialPlace } from '../filesystem/partial-file.ts'
import { type Expiry, keptExpiry } from './expiry.ts'

/** How the file is put in its place. */
type UploadMode = 'atomic' | 'create' | 'overwrite'

/** What is known of an upload, also by the next daemon. */
export interface UploadRecord extends Expiry {
  /** A UUID, in the URL. */
  readonly id: string
  /** `path` and `username` as they stood in the query; what a signature must be for. */
  readonly asked: { readonly path: string; readonly username: string }
  /** Where the file goes: absolute, clean. */
  readonly path: string
  /** Name of the user whose it is. */
  readonly user: string
  /** The path must not lead out of the user's home. */
  readonly confined: boolean
  readonly mode: UploadMode
  readonly chmod: number | undefined
  /** Condition headers, as they came. */
  readonly conditions: Readonly<Record<string, string>>
  /** Metadata of the file. */
  readonly metadata: Readonly<Record<string, string>>
  /** `Upload-Metadata`, as it came. */
  readonly uploadMetadata: string | undefined
  /** Bytes in all; with `deferred` what is reserved so far. */
  readonly length: number
  /** How many there are in all is said later. */
  readonly deferred?: boolean | undefined
  /** `partial`: is to be joined with others. */
  readonly concat: string | undefined
  readonly place: PartialPlace
  /** Bytes that are on the disk, and checked where a checksum came with them. */
  readonly offset: number
  /** The file is in its place. */
  readonly done: boolean
  /** The entity tag of the file that was put in its place. */
  readonly tag: string | undefined
}

/** Of an upload that has just been asked for: nothing has come, and there is no file. */
export const NOTHING_YET = {
  place: { directory: '/', name: '', device: '', inode: '' },
  offset: 0,
  done: false,
  tag: undefined,
}

/** Nothing of it is held any more; a partial upload that is whole waits to be joined. */
export function isFinished({ done, concat }: UploadRecord): boolean {
  return done && concat !== 'partial'
}

/** What the file of a record contains. */
export function recordText(record: UploadRecord): string {
  return JSON.stringify({ version: 1, ...record })
}

/** The record in a file; undefined: it has none that this daemon understands. */
export function parseRecord(text: string): UploadRecord | undefined {
  try {
    const value: unknown = JSON.parse(text)
    // Written by `recordText`, in a directory that only the daemon may write.
    if (!isRecord(value)) return undefined
    const record = value as unknown as UploadRecord
    return { ...record, ...keptExpiry(record) }
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || !('version' in value) || value.version !== 1) return false
  const has = (name: string, type: string) => name in value && typeof value[name as keyof typeof value] === type
  const texts = ['id', 'path', 'user', 'mode'].every((name) => has(name, 'string'))
  const numbers = ['length', 'offset', 'expires'].every((name) => has(name, 'number'))
  return texts && numbers && ['asked', 'place', 'conditions', 'metadata'].every((name) => has(name, 'object'))
}
