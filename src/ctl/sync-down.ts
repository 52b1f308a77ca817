import { mkdir } from 'node:fs/promises'
import { leftOutOf } from './copy-down.ts'
import { Failure } from './failure.ts'
import type { LeftOut } from './left-out.ts'
import { unpackTree } from './local-tree.ts'
import type { Synced, SyncOptions } from './sync.ts'
import { removeLocal } from './sync-remove.ts'
import { differencesOf, localState, remoteState, utf8 } from './tree-state.ts'

/** As many patterns and bytes as a request takes (`src/watch/exclude.ts`). */
const MAX_PATTERNS = 64
const MAX_PATTERN_BYTES = 2_048
/** Archives of some paths; beyond that the whole tree comes in one. */
const MAX_ARCHIVES = 16

/** Makes a directory of this machine as one of the sandbox. Throws Failure; what has come until then is there. */
export async function syncDown(options: SyncOptions, left: LeftOut): Promise<Synced> {
  const { sandbox, local, remote, remove, signal, moved, exclude } = options
  const wanted = await remoteState(sandbox, remote, (path, isDirectory) => left.leavesOut(path, isDirectory))
  if (!wanted.present) throw new Failure('not_found', `there is no ${remote}`)
  await mkdir(local, { recursive: true })
  const { changed, gone } = differencesOf(wanted.state, await localState(local, left, signal))
  const removed: string[] = []
  if (remove) for (const path of gone) removed.push(...(await removeLocal(local, path, left)))
  const before = moved.bytes
  const leftOut: string[] = []
  for (const patterns of archivesOf(changed, exclude)) {
    const query = { path: remote, format: 'tar', exclude: patterns.join(',') || undefined }
    const { body, trailer } = await sandbox.get(query, signal)
    await unpackTree(body, local, { replace: false, compressed: false, moved, signal })
    leftOut.push(...leftOutOf(trailer('x-left-out')))
  }
  return { sent: changed.map(utf8), removed: removed.map(utf8), bytes: moved.bytes - before, leftOut }
}

/** What each archive leaves out so that those paths come, in few of them. */
function archivesOf(paths: readonly string[], exclude: readonly string[]): readonly (readonly string[])[] {
  if (paths.length === 0) return []
  const archives: Set<string>[] = []
  let patterns = new Set<string>()
  for (const path of paths) {
    // A comma would end a pattern.
    if (path.includes(',') || archives.length >= MAX_ARCHIVES) return [exclude]
    const wanted = patternsOf(path)
    const size = new Set([...patterns, ...wanted])
    if (patterns.size === 0 || size.size > MAX_PATTERNS || bytesOf(size) > MAX_PATTERN_BYTES) {
      patterns = new Set(['*', ...wanted])
      archives.push(patterns)
    } else for (const pattern of wanted) patterns.add(pattern)
  }
  if (archives.some((one) => one.size > MAX_PATTERNS || bytesOf(one) > MAX_PATTERN_BYTES)) return [exclude]
  return archives.map((one) => [...one])
}

/** Patterns of a path, and of the directories that lead there. */
function patternsOf(path: string): readonly string[] {
  const names = utf8(path)
    .split('/')
    .map((name) => name.replace(/[\\*?[\]!# ]/g, '\\$&'))
  return names.map((_, index) => `!/${names.slice(0, index + 1).join('/')}${index < names.length - 1 ? '/' : ''}`)
}

function bytesOf(patterns: Iterable<string>): number {
  return [...patterns].reduce((sum, pattern) => sum + Buffer.byteLength(pattern), 0)
}
