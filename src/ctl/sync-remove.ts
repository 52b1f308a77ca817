import { rm } from 'node:fs/promises'
import { Failure } from './failure.ts'
import type { LeftOut } from './left-out.ts'
import type { Sandbox } from './sandbox.ts'
import { isBelow, localItem, localPath, localState, remoteState, type TreeState, utf8 } from './tree-state.ts'

interface Removal {
  readonly sandbox: Sandbox
  /** The directory in the sandbox. */
  readonly remote: string
  /** Below it. */
  readonly path: string
  readonly left: LeftOut
}

/**
 * Removes something in the sandbox with all below it, but for what is left out and the directories that lead there;
 * what was removed, the directories above the rest. Throws Failure.
 */
export async function removeRemote({ sandbox, remote, path, left }: Removal): Promise<readonly string[]> {
  const place = `${remote}/${utf8(path)}`
  const whole = await statKind(sandbox, place)
  if (whole === undefined) return []
  if (whole !== 'directory' || left.keepsNothing) {
    await remove(sandbox, place)
    return [path]
  }
  const { state: all } = await remoteState(sandbox, place, () => false)
  const paths = removable(all, (below, isDirectory) => left.leavesOutBelow(`${path}/${below}`, isDirectory))
  if (paths === undefined) {
    await remove(sandbox, place)
    return [path]
  }
  for (const below of paths) await remove(sandbox, `${place}/${utf8(below)}`)
  return paths.map((below) => `${path}/${below}`)
}

/** The same on this machine, below `root`. */
export async function removeLocal(root: string, path: string, left: LeftOut): Promise<readonly string[]> {
  const item = await localItem(root, path)
  if (item === undefined) return []
  const all = { enter: async () => {}, leavesOut: () => false }
  const { signal } = new AbortController()
  const below = item.kind === 'directory' ? await localState(localPath(root, path).toString(), all, signal) : new Map()
  const paths = removable(below, (name, isDirectory) => left.leavesOutBelow(`${path}/${name}`, isDirectory))
  const removed = paths === undefined ? [path] : paths.map((name) => `${path}/${name}`)
  for (const one of removed) await rm(localPath(root, one), { recursive: true, force: true })
  return removed
}

/** What can be removed as a whole, none of it below another; undefined: everything. */
function removable(all: TreeState, leavesOut: LeftOut['leavesOut']): readonly string[] | undefined {
  const kept = new Set<string>()
  for (const [path, { kind }] of all) {
    if (!leavesOut(path, kind === 'directory')) continue
    kept.add(path)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) kept.add(path.slice(0, at))
  }
  if (kept.size === 0) return undefined
  const removed = new Set<string>()
  for (const path of all.keys()) if (!kept.has(path) && !isBelow(path, removed)) removed.add(path)
  return [...removed]
}

async function statKind(sandbox: Sandbox, path: string): Promise<'directory' | 'other' | undefined> {
  try {
    const { entry } = await sandbox.call<{ entry?: { type?: string; isSymlink?: boolean } }>(
      'filesystem.Filesystem/Stat',
      { path },
    )
    return entry?.type === 'FILE_TYPE_DIRECTORY' && entry.isSymlink !== true ? 'directory' : 'other'
  } catch (error) {
    if (error instanceof Failure && error.code === 'not_found') return undefined
    throw error
  }
}

async function remove(sandbox: Sandbox, path: string): Promise<void> {
  try {
    await sandbox.call('filesystem.Filesystem/Remove', { path })
  } catch (error) {
    if (!(error instanceof Failure && error.code === 'not_found')) throw error
  }
}
