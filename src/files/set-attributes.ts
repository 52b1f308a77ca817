import { AppError } from '../errors.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { checkMetadata, METADATA_PREFIX } from '../filesystem/metadata.ts'
import { needProc } from '../filesystem/need-proc.ts'
import { changeTree, type FileTime, packChanges, type TreeState } from '../native/tree-task.ts'
import type { Users } from '../users/users.ts'
import { MAX_REMOVED_METADATA } from './limits.ts'
import { runTreeTask, type TreeTaskOptions, treeError } from './tree-tasks.ts'

/** What is set; undefined: it stays. */
interface AttributeChanges {
  readonly recursive: boolean
  readonly mode?: number | undefined
  readonly directoryMode?: number | undefined
  readonly user?: string | undefined
  readonly group?: string | undefined
  readonly modified?: Time | undefined
  readonly accessed?: Time | undefined
  readonly metadata: Readonly<Record<string, string>>
  readonly removeMetadata: readonly string[]
}

interface Time {
  readonly seconds: bigint
  readonly nanos: number
}

interface ChangeOptions extends Pick<TreeTaskOptions, 'signal' | 'hold'> {
  /** Absolute. */
  readonly path: string
  readonly owner: FileUser
  readonly users: Users
}

const PERMISSIONS = 0o777
const ALL_BITS = 0o7777
const MAX_ID = 0xfffffffe

/**
 * Sets attributes of an entry, or of all in a directory: how far it is, and at last when all is done. Cancelled or
 * failed, those that were set stay set. Rejects with AppError: not_found, invalid_argument, permission_denied,
 * no_space, resource_exhausted, budget_spent, unimplemented without /proc, internal.
 */
export async function* setAttributes(
  request: AttributeChanges,
  { path, owner, users, signal, hold }: ChangeOptions,
): AsyncGenerator<{ readonly done: boolean; readonly state: TreeState }, void> {
  checkMetadata(new Map(Object.entries(request.metadata)))
  const isRoot = owner.uid === 0
  const packed = packChanges({
    mode: modeOf('mode', request.mode, isRoot),
    directoryMode: modeOf('directory_mode', request.directoryMode, isRoot),
    uid: await idOf('user', request.user, isRoot, async (name) => (await users.find(name))?.uid),
    gid: await idOf('group', request.group, isRoot, (name) => users.findGroup(name)),
    accessed: timeOf('accessed', request.accessed),
    modified: timeOf('modified', request.modified),
  })
  const pairs = Object.entries(request.metadata).flatMap(([name, value]) => [METADATA_PREFIX + name, value])
  const removed = request.removeMetadata.map((name) => METADATA_PREFIX + name)
  if (packed.readUInt32LE(0) === 0 && pairs.length + removed.length === 0) throw invalid('there is nothing to set')
  if (removed.length > MAX_REMOVED_METADATA)
    throw invalid(`remove_metadata has ${removed.length} names, at most ${MAX_REMOVED_METADATA} may be`)
  if (removed.some((name) => name.includes('\0'))) throw invalid('remove_metadata has a zero byte')
  needProc()
  try {
    yield* runTreeTask(
      (task) => changeTree(task, Buffer.from(path), owner, request.recursive, packed, pairs, removed),
      { signal, hold },
    )
  } catch (error) {
    throw treeError('setting attributes of', path, error)
  }
}

function modeOf(field: string, mode: number | undefined, isRoot: boolean): number | undefined {
  if (mode === undefined || mode <= PERMISSIONS || (isRoot && mode <= ALL_BITS)) return mode
  if (mode > ALL_BITS) throw invalid(`${field} is at most 07777`)
  throw new AppError('permission_denied', `${field} above 0777 is for root only`)
}

async function idOf(
  field: string,
  text: string | undefined,
  isRoot: boolean,
  find: (name: string) => Promise<number | undefined>,
): Promise<number | undefined> {
  if (text === undefined) return undefined
  if (!isRoot) throw new AppError('permission_denied', `${field} is for root only`)
  const id = (await find(text)) ?? (/^\d{1,10}$/.test(text) ? Number(text) : undefined)
  if (id === undefined || id > MAX_ID) throw invalid(`there is no ${field} '${text}'`)
  return id
}

/** Of what a file can have: the kernel cuts it to what the filesystem keeps. */
function timeOf(field: string, time: Time | undefined): FileTime | undefined {
  if (time === undefined) return undefined
  const { seconds, nanos } = time
  if (nanos < 0 || nanos > 999_999_999) throw invalid(`${field} has nanoseconds that are none`)
  return { seconds, nanoseconds: nanos }
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', problem)
}
