/** Trees of this machine as archives, both ways: by what the daemon has for it, so that all is kept and kept out. */
import { closeSync } from 'node:fs'
import { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { archiveTree } from '../archives/archive-tree.ts'
import { DEFAULT_ARCHIVE_LIMITS } from '../archives/limits.ts'
import { unpackArchive } from '../archives/unpack-archive.ts'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { openTreeRoot } from '../filesystem/tree-root.ts'
import { NEVER } from '../lib/never.ts'
import type { Steps } from '../lib/steps.ts'
import type { Log } from '../log.ts'
import { createTreeTask, measureTree, treeTaskState, unpackTreeState, unpackUsages } from '../native/tree-task.ts'
import { createExclude } from '../watch/exclude.ts'
import { Failure } from './failure.ts'
import type { Moved } from './progress.ts'

/** A program of its own has no other user of memory. */
export const HOLD: Hold = { bytes: 0, tryGrow: () => true, grow: () => {}, shrink: () => {}, release: () => {} }
/** The client has no log. */
export const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {}, named: () => SILENT }

/** Who runs the client. */
export function self(): FileUser {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]
  return { name: String(uid), uid, gid, home: '/' }
}

/** What of a tree is packed. */
interface PackOptions {
  /** Patterns as in a .gitignore. */
  readonly exclude: readonly string[]
  /** Only what it says of an entry, with one character per byte; default: all. */
  readonly only?: (path: string, isDirectory: boolean) => boolean
  readonly moved: Moved
  /** Called for each entry that is left out, with its path. */
  readonly onLeftOut: (path: string) => void
}

/** A directory as a tar archive. Throws Failure. */
export async function* packTree(
  path: string,
  { exclude, only, moved, onLeftOut }: PackOptions,
): AsyncGenerator<Buffer> {
  const excluded = createExclude(exclude)
  const counted = function* (name: string, isDirectory: boolean): Steps<boolean> {
    if (excluded !== undefined && (yield* excluded(name, isDirectory))) return true
    if (only?.(name, isDirectory) === false) return true
    if (!isDirectory) moved.files++
    return false
  }
  const root = await openTreeRoot(path, self()).catch(toFailure)
  if (root === undefined) throw new Failure('usage', `${path} is not a directory`)
  try {
    const options = { path, owner: self(), exclude: counted, prefix: Buffer.alloc(0), hold: HOLD, signal: NEVER }
    for await (const piece of archiveTree(root, { ...options, onLeftOut: (entry) => onLeftOut(entry.toString()) })) {
      moved.bytes += piece.length
      yield piece
    }
  } finally {
    closeSync(root)
  }
}

/** How an archive is unpacked. */
interface UnpackOptions {
  /** The directory is replaced as a whole, in one step. */
  readonly replace: boolean
  /** The archive is compressed by zstd. */
  readonly compressed: boolean
  readonly moved: Moved
  readonly signal: AbortSignal
}

/**
 * Unpacks a tar archive into a directory, which is made if it is missing; nothing is written outside of it. Throws
 * Failure; what came before is there, whole, unless the directory was to be replaced.
 */
export async function unpackTree(source: AsyncIterable<Buffer>, path: string, options: UnpackOptions): Promise<void> {
  const { replace, compressed, moved, signal } = options
  let received = 0
  async function* counted() {
    for await (const chunk of source) {
      received += chunk.length
      if (!compressed) moved.bytes = received
      yield chunk
    }
  }
  const raw = Readable.from(counted(), { objectMode: false })
  const archive = compressed ? raw.pipe(createZstdDecompress()) : raw
  raw.on('error', (error) => archive.destroy(error))
  let failure: unknown
  archive.on('error', (error) => {
    failure = error
  })
  try {
    await unpackArchive(archive, {
      ...{ path, mode: replace ? 'replace' : 'overwrite', owner: self(), archiveOwners: false, strip: 0 },
      ...{ limits: DEFAULT_ARCHIVE_LIMITS, received: () => received, hold: HOLD, log: SILENT, signal, idleMs: IDLE_MS },
      onProgress: ({ entries, bytes }) => {
        moved.files = entries
        if (compressed) moved.bytes = bytes
      },
    })
  } catch (error) {
    if (failure instanceof Failure) throw failure
    return toFailure(error)
  } finally {
    raw.destroy()
  }
}

/** A sandbox that sends nothing for so long is gone. */
const IDLE_MS = 60_000

/** What a directory has in it. Undefined: that cannot be found out. */
export async function measure(path: string): Promise<{ readonly bytes: number; readonly files: number } | undefined> {
  const task = createTreeTask()
  try {
    await measureTree(task, Buffer.from(path), self(), 0, false)
  } catch {
    return undefined
  }
  const { output, files } = unpackTreeState(treeTaskState(task))
  const [whole] = unpackUsages(output)
  return { bytes: Number(whole?.length ?? 0n), files: Number(files) }
}

function toFailure(error: unknown): never {
  if (error instanceof AppError) throw new Failure(error.kind, error.message)
  throw error
}
