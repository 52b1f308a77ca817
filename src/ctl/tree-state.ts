/** What is in a directory, on this machine and in the sandbox, and what differs. Paths have one character per byte. */
import { lstat, readdir } from 'node:fs/promises'
import { Failure } from './failure.ts'
import type { Sandbox } from './sandbox.ts'

/** An entry, as far as it says whether it is the same on both sides. */
interface Item {
  readonly kind: 'directory' | 'file' | 'link' | 'other'
  readonly size: bigint
  /** Nanoseconds since 1970. */
  readonly modified: bigint
  /** Permissions. */
  readonly mode: number
}

/** Entries by their path below the directory, directories before what is in them. */
export type TreeState = ReadonlyMap<string, Item>

/** What of a tree takes no part. */
export interface Left {
  /** Is about to read what is in a directory. */
  enter(directory: string): Promise<void>
  /** Whether an entry of a directory that takes part is left out. */
  leavesOut(path: string, isDirectory: boolean): boolean
}

const PERMISSIONS = 0o777
const NS = 1_000_000_000n

/** What is in a directory of this machine; what cannot be read is not. Throws Failure for the directory itself. */
export async function localState(root: string, left: Left, signal: AbortSignal): Promise<TreeState> {
  const state = new Map<string, Item>()
  const enter = async (directory: string): Promise<void> => {
    signal.throwIfAborted()
    await left.enter(directory)
    const place = localPath(root, directory)
    const names = await readdir(place, { encoding: 'buffer' }).catch((error: Error) => {
      if (directory === '') throw new Failure('not_found', error.message)
      return []
    })
    for (const name of names.sort(Buffer.compare)) {
      const path = directory === '' ? name.toString('latin1') : `${directory}/${name.toString('latin1')}`
      const item = await localItem(root, path)
      if (item === undefined || left.leavesOut(path, item.kind === 'directory')) continue
      state.set(path, item)
      if (item.kind === 'directory') await enter(path)
    }
  }
  await enter('')
  return state
}

/** An entry of this machine; undefined: there is none. */
export async function localItem(root: string, path: string): Promise<Item | undefined> {
  const stats = await lstat(localPath(root, path), { bigint: true }).catch(() => undefined)
  if (stats === undefined) return undefined
  const kind = stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : stats.isSymbolicLink() ? 'link' : 'other'
  return { kind, size: stats.size, modified: stats.mtimeNs, mode: Number(stats.mode) & PERMISSIONS }
}

/** Where it is, as bytes. */
export function localPath(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(root), Buffer.from('/'), Buffer.from(path, 'latin1')])
}

/** An entry as JSON (`filesystem.EntryInfo`). */
interface Entry {
  readonly path?: string
  readonly type?: string
  readonly size?: string
  readonly mode?: number
  readonly modifiedTime?: string
  readonly isSymlink?: boolean
}

/**
 * What is in a directory of the sandbox, with the path by which it is listed; names that are not UTF-8 are not. An
 * absent directory has nothing in it. Throws Failure.
 */
export async function remoteState(
  sandbox: Sandbox,
  path: string,
  leavesOut: Left['leavesOut'],
): Promise<{ readonly state: TreeState; readonly present: boolean }> {
  const state = new Map<string, Item>()
  const { entry } = await sandbox.call<{ entry?: Entry }>('filesystem.Filesystem/Stat', { path }).catch(orAbsent)
  if (entry === undefined) return { state, present: false }
  const { entries = [] } = await sandbox.call<{ entries?: Entry[] }>('filesystem.Filesystem/ListDir', {
    path,
    depth: DEEP,
  })
  const root = entry.path === '/' ? '' : (entry.path ?? '')
  const out = new Set<string>()
  for (const one of entries) {
    const below = latin1((one.path ?? '').slice(root.length + 1))
    const item = itemOf(one)
    const isOut = isBelow(below, out) || leavesOut(below, item.kind === 'directory')
    if (isOut && item.kind === 'directory') out.add(below)
    if (!isOut && !below.includes(REPLACEMENT)) state.set(below, item)
  }
  return { state, present: true }
}

const DEEP = 1_000
const REPLACEMENT = Buffer.from('\ufffd').toString('latin1')

function orAbsent(error: unknown): { readonly entry?: Entry } {
  if (error instanceof Failure && error.code === 'not_found') return {}
  throw error
}

/** A name of the sandbox in the form of these paths. */
export function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** The other way round. */
export function utf8(path: string): string {
  return Buffer.from(path, 'latin1').toString()
}

function itemOf({ type, size = '0', mode = 0, modifiedTime = '', isSymlink }: Entry): Item {
  const isFile = type === 'FILE_TYPE_FILE' || type === undefined
  const kind = isSymlink ? 'link' : type === 'FILE_TYPE_DIRECTORY' ? 'directory' : isFile ? 'file' : 'other'
  return { kind, size: BigInt(size), modified: nanosecondsOf(modifiedTime), mode: mode & PERMISSIONS }
}

function nanosecondsOf(time: string): bigint {
  const [, seconds = '', fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(time) ?? []
  const whole = Date.parse(`${seconds}Z`)
  return Number.isNaN(whole) ? 0n : BigInt(whole / 1000) * NS + BigInt(fraction.padEnd(9, '0'))
}

/** What has to be done so that a directory is as another. */
export interface Differences {
  /** Paths of the other one that are missing or not the same. */
  readonly changed: readonly string[]
  /** Paths that the other has not, or as something else: none of them below another. */
  readonly gone: readonly string[]
}

/** Compares what is to be with what there is. */
export function differencesOf(wanted: TreeState, there: TreeState): Differences {
  const changed = [...wanted].filter(([path, item]) => !isSame(item, there.get(path))).map(([path]) => path)
  const gone = new Set<string>()
  for (const [path, { kind }] of there) {
    const other = wanted.get(path)?.kind
    const replaced = other !== undefined && (other === 'directory') !== (kind === 'directory')
    if ((other === undefined || replaced) && !isBelow(path, gone)) gone.add(path)
  }
  return { changed, gone: [...gone] }
}

/** Times of directories and permissions of links are not compared. */
function isSame(one: Item, other: Item | undefined): boolean {
  if (one.kind !== other?.kind) return false
  if (one.kind === 'other') return true
  if (one.kind !== 'link' && one.mode !== other.mode) return false
  return one.kind === 'directory' || (one.size === other.size && one.modified === other.modified)
}

/** Whether one of the directories above a path is in a set. */
export function isBelow(path: string, directories: { has(path: string): boolean }): boolean {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
    if (directories.has(path.slice(0, at))) return true
  return false
}
