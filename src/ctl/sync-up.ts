import type { LeftOut } from './left-out.ts'
import { packTree } from './local-tree.ts'
import type { Moved } from './progress.ts'
import type { Synced, SyncOptions } from './sync.ts'
import { removeRemote } from './sync-remove.ts'
import { type Differences, differencesOf, isBelow, localItem, localState, remoteState, utf8 } from './tree-state.ts'

/** Makes a directory of the sandbox as one of this machine. Throws Failure; what has been sent until then is there. */
export async function syncUp(options: SyncOptions, left: LeftOut): Promise<Synced> {
  const { sandbox, local, remote, signal } = options
  const wanted = await localState(local, left, signal)
  const there = await remoteState(sandbox, remote, (path, isDirectory) => left.leavesOutBelow(path, isDirectory))
  const { changed, gone } = differencesOf(wanted, there.state)
  return send({ changed: there.present ? changed : [...wanted.keys()], gone }, options, { left, empty: !there.present })
}

/** The same of some paths, which have changed here. Throws Failure. */
export async function syncSome(paths: readonly string[], options: SyncOptions, left: LeftOut): Promise<Synced> {
  const changed: string[] = []
  const gone: string[] = []
  for (const path of paths) {
    const item = await localItem(options.local, path)
    if (left.leavesOutBelow(path, item?.kind === 'directory')) continue
    if (item === undefined) gone.push(path)
    else changed.push(path)
  }
  const removed = new Set(gone)
  return send({ changed, gone: gone.filter((path) => !isBelow(path, removed)) }, options, { left, empty: false })
}

/** @param how empty: the directory is made also if nothing goes into it. */
async function send(
  { changed, gone }: Differences,
  options: SyncOptions,
  { left, empty }: { readonly left: LeftOut; readonly empty: boolean },
): Promise<Synced> {
  const { sandbox, local, remote, remove, signal, moved } = options
  const removed: string[] = []
  if (remove) for (const path of gone) removed.push(...(await removeRemote({ sandbox, remote, path, left })))
  const leftOut: string[] = []
  const before: Moved = { ...moved }
  if (changed.length > 0 || empty) {
    const archive = packTree(local, {
      exclude: [],
      only: only(changed),
      moved,
      onLeftOut: (path) => leftOut.push(path),
    })
    await sandbox.post({ path: remote }, archive, { 'content-type': 'application/x-tar' }, signal)
  }
  return { sent: changed.map(utf8), removed: removed.map(utf8), bytes: moved.bytes - before.bytes, leftOut }
}

/** Those paths, and the directories that lead there. */
function only(paths: readonly string[]): (path: string, isDirectory: boolean) => boolean {
  const chosen = new Set(paths)
  const leading = new Set<string>()
  for (const path of paths)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      if (leading.has(path.slice(0, at))) break
      leading.add(path.slice(0, at))
    }
  return (path, isDirectory) => chosen.has(path) || (isDirectory && leading.has(path))
}
