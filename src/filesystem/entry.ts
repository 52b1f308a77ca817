import { constants } from 'node:fs'
import { create, type MessageShape } from '@bufbuild/protobuf'
import { EntryInfoSchema, FileType } from '../gen/filesystem/filesystem_pb.js'
import { baseName } from '../lib/clean-path.ts'
import { type RawEntry, unpackEntry } from '../native/entries.ts'
import { type Actor, readCachedEntry, readEntry } from '../native/files.ts'
import type { Users } from '../users/users.ts'
import { permitted } from './file-user.ts'
import { METADATA_PREFIX, metadataFrom } from './metadata.ts'

/** An entry as clients receive it. */
export type EntryInfo = MessageShape<typeof EntryInfoSchema>

/** Letters of Go's FileMode, in its order, for the kinds and bits of a mode. A character device is also a device. */
const LETTERS: readonly (readonly [string, (mode: number) => boolean])[] = [
  ['d', (mode) => isKind(mode, constants.S_IFDIR)],
  ['L', (mode) => isKind(mode, constants.S_IFLNK)],
  ['D', (mode) => isKind(mode, constants.S_IFBLK) || isKind(mode, constants.S_IFCHR)],
  ['p', (mode) => isKind(mode, constants.S_IFIFO)],
  ['S', (mode) => isKind(mode, constants.S_IFSOCK)],
  ['u', (mode) => (mode & 0o4000) !== 0],
  ['g', (mode) => (mode & 0o2000) !== 0],
  ['c', (mode) => isKind(mode, constants.S_IFCHR)],
  ['t', (mode) => (mode & 0o1000) !== 0],
]

const PERMISSIONS = 'rwxrwxrwx'

/** Some 16 KiB of them. */
const MAX_MODE_TEXTS = 256

/** Whether a mode is that of a kind of entry (`S_IFDIR`). */
export function isKind(mode: number, kind: number): boolean {
  return (mode & constants.S_IFMT) === kind
}

/** Texts of modes that were asked for: files have few different ones. */
const modeTexts = new Map<number, string>()

/** A mode as Go writes it (contract C10): a letter for each special bit, or `-`, then `rwx` three times. */
export function modeText(mode: number): string {
  const known = modeTexts.get(mode)
  if (known !== undefined) return known
  const text = makeModeText(mode)
  if (modeTexts.size < MAX_MODE_TEXTS) modeTexts.set(mode, text)
  return text
}

function makeModeText(mode: number): string {
  const letters = LETTERS.filter(([, holds]) => holds(mode)).map(([letter]) => letter)
  const bits = [...PERMISSIONS].map((letter, index) => ((mode >> (8 - index)) & 1 ? letter : '-'))
  return (letters.join('') || '-') + bits.join('')
}

/**
 * Looks at one path, without following a link at its end (contract C7 to C12). Rejects with the system error of
 * lstat(2).
 * @param path absolute; the entry carries it as it is.
 * @param actor for whom; undefined: the path is one that the daemon came upon itself.
 */
export async function readEntryInfo(path: string, users: Users, actor?: Actor): Promise<EntryInfo> {
  const bytes = Buffer.from(path)
  const packed =
    readCachedEntry(bytes, METADATA_PREFIX, actor) ??
    (await permitted(path, () => readEntry(bytes, METADATA_PREFIX, actor)))
  const raw = unpackEntry(packed)
  const { owner, group } = users.knownNames(raw.uid, raw.gid) ?? (await namesOf(raw, users))
  return toEntryInfo(raw, { path, name: baseName(path), owner, group })
}

async function namesOf({ uid, gid }: RawEntry, users: Users): Promise<{ owner: string; group: string }> {
  const [owner, group] = await Promise.all([users.nameOf(uid), users.groupNameOf(gid)])
  return { owner, group }
}

/** What an entry is called; names that are not UTF-8 have got U+FFFD in them. */
interface EntryNames {
  readonly path: string
  readonly name: string
  readonly owner: string
  readonly group: string
}

/** The facts in the words of the protocol. */
export function toEntryInfo(raw: RawEntry, names: EntryNames): EntryInfo {
  const { link } = raw
  const isLink = link !== undefined
  const targetMode = link === 'broken' ? 0 : (link?.mode ?? raw.mode)
  const metadata = metadataFrom(raw.attributes)
  // A new field of the message does not compile until it is here.
  const facts = {
    ...names,
    type: typeOf(targetMode),
    size: raw.size,
    mode: targetMode & 0o777,
    permissions: modeText(raw.mode),
    modifiedTime: timestamp(raw.modifiedSeconds, raw.modifiedNanoseconds),
    isSymlink: isLink,
    symlinkTarget: targetOf(link, names.path),
    metadata: Object.fromEntries(metadata),
  } satisfies Record<Exclude<keyof EntryInfo, `$${string}`>, unknown>
  return create(EntryInfoSchema, facts)
}

/** Target of a link; of one that leads nowhere its own path. */
function targetOf(link: RawEntry['link'], path: string): string | undefined {
  if (link === undefined) return undefined
  return link === 'broken' ? path : link.path.toString()
}

/** The years 1 and 9999, past which codecs refuse a google.protobuf.Timestamp, and the whole message with it. */
const FIRST_SECOND = -62_135_596_800n
const LAST_SECOND = 253_402_300_799n
const LAST_NANOSECOND = 999_999_999

/** A time that files may have and messages may not becomes the nearest that they may. */
export function timestamp(seconds: bigint, nanoseconds: number): { seconds: bigint; nanos: number } {
  if (seconds < FIRST_SECOND) return { seconds: FIRST_SECOND, nanos: 0 }
  if (seconds > LAST_SECOND) return { seconds: LAST_SECOND, nanos: LAST_NANOSECOND }
  return { seconds, nanos: Math.min(nanoseconds, LAST_NANOSECOND) }
}

function typeOf(mode: number): FileType {
  if (isKind(mode, constants.S_IFREG)) return FileType.FILE
  return isKind(mode, constants.S_IFDIR) ? FileType.DIRECTORY : FileType.UNSPECIFIED
}
