import type { Hold } from '../budget/budget.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { listTree, unpackNames } from '../native/tree.ts'
import { MAX_TREE_NAMES_BYTES } from './limits.ts'

interface WalkOptions {
  readonly owner: FileUser
  readonly signal: AbortSignal
  /** Counts names and directories that wait. The caller releases it. */
  readonly hold: Hold
  /** A directory could not be read, or went meanwhile. */
  readonly onLeftOut: () => void
}

/** Memory of a directory that is yet to be read, beside its path. */
const ENTRY_BYTES = 128

const SLASH = Buffer.from('/')

/**
 * The paths below an open directory of all that is no directory, in an order that depends on the names alone: those of
 * a directory in byte order, then those of the directories in it. No link is followed. Rejects with the signal's reason
 * or AppError budget_spent.
 */
export async function* walkTree(root: number, options: WalkOptions): AsyncGenerator<Buffer, void> {
  const { owner, hold, signal, onLeftOut } = options
  const waiting: Buffer[] = [Buffer.alloc(0)]
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    signal.throwIfAborted()
    if (directory.length > 0) hold.shrink(directory.length + ENTRY_BYTES)
    const names = await listTree(root, directory, owner, MAX_TREE_NAMES_BYTES).catch(onLeftOut)
    if (names === undefined) continue
    hold.grow(names.length)
    const below: Buffer[] = []
    const slice = createTimeSlice()
    for (const { name, isDirectory } of unpackNames(names)) {
      const path = directory.length === 0 ? Buffer.from(name) : Buffer.concat([directory, SLASH, name])
      if (isDirectory) {
        hold.grow(path.length + ENTRY_BYTES)
        below.push(path)
      } else yield path
      const turn = slice.next()
      if (turn !== undefined) await turn
    }
    hold.shrink(names.length)
    for (const path of below.reverse()) waiting.push(path)
  }
}
