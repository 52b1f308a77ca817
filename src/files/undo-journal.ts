import type { Hold } from '../budget/budget.ts'
import { createLock, type Lock } from '../lib/lock.ts'
import type { Change } from './change-set.ts'
import { changedRegion, type Region } from './changed-region.ts'
import { MAX_UNDO_BYTES, MAX_UNDO_EDITS } from './limits.ts'

/** How one file is taken back. */
interface UndoneFile {
  readonly path: string
  /** What the edit has left; another edit that is taken back may leave the same under a new tag. */
  after: string
  /** What the edit found; undefined: nothing, so that the file goes. */
  readonly before: { readonly tag: string; readonly region: Region; readonly content: Buffer } | undefined
}

/** An edit that can be taken back. */
interface UndoEntry {
  readonly id: bigint
  readonly files: readonly UndoneFile[]
  /** Memory that it takes. */
  readonly bytes: number
}

/** The edits of one user, the last one at the end. */
interface History {
  readonly entries: UndoEntry[]
  /** Held while an edit is taken back. */
  readonly lock: Lock
  waiting: number
}

/** Memory of an entry, or of a file of one, beside its path and content. */
const ENTRY_BYTES = 512

/**
 * What the last edits of each user have replaced, in memory: 100 edits for each, 64 MiB in sum over all, and no more
 * than a quarter of the budget.
 */
export class UndoJournal {
  readonly #users = new Map<string, History>()
  /** In the order in which they were made. */
  readonly #all = new Map<UndoEntry, string>()
  readonly #hold: Hold
  readonly #most: number
  #last = 0n
  #bytes = 0

  /** @param hold counts what is kept. @param total bytes of the budget that it is of. */
  constructor(hold: Hold, total: number) {
    this.#hold = hold
    this.#most = Math.min(MAX_UNDO_BYTES, Math.floor(total / 4))
  }

  /** Bytes that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Keeps what changes have replaced, and drops the oldest edits that have no room then.
   * @param tags of the files afterwards, in the same order.
   * @returns the number of the edit; undefined: it is too large.
   */
  add(user: string, changes: readonly Change[], tags: readonly (string | undefined)[]): bigint | undefined {
    const regions = changes.map(({ before, after }) => before && changedRegion(before.content, after ?? EMPTY))
    const bytes = changes.reduce((sum, change, index) => sum + costOf(change, regions[index]), ENTRY_BYTES)
    if (bytes > this.#most) return undefined
    while (this.#bytes + bytes > this.#most) this.#dropOldest()
    while (!this.#hold.tryGrow(bytes)) if (!this.#dropOldest()) return undefined
    this.#bytes += bytes
    const entry = {
      id: ++this.#last,
      files: changes.map((change, index) => undoneFile(change, regions[index], tags[index])),
      bytes,
    }
    const history = this.#historyOf(user)
    history.entries.push(entry)
    this.#all.set(entry, user)
    const [oldest] = history.entries
    if (history.entries.length > MAX_UNDO_EDITS && oldest !== undefined) this.remove(oldest)
    return entry.id
  }

  /** An edit of the user's, or the last one; undefined: it is not there, or not any more. */
  find(user: string, id: bigint | undefined): UndoEntry | undefined {
    const entries = this.#users.get(user)?.entries
    return id === undefined ? entries?.at(-1) : entries?.find((entry) => entry.id === id)
  }

  /** Forgets an edit. Idempotent. */
  remove(entry: UndoEntry): void {
    const user = this.#all.get(entry)
    if (user === undefined) return
    this.#all.delete(entry)
    this.#bytes -= entry.bytes
    this.#hold.shrink(entry.bytes)
    const history = this.#historyOf(user)
    history.entries.splice(history.entries.indexOf(entry), 1)
    this.#dropIfIdle(user, history)
  }

  /** A file is again as some edit has left it: under a new tag, which that edit is then taken back by. */
  retag(path: string, old: string, fresh: string): void {
    for (const { files } of this.#all.keys())
      for (const file of files) if (file.path === path && file.after === old) file.after = fresh
  }

  /** Runs what takes back an edit of the user's, one at a time. Rejects with the signal's reason. */
  async alone<T>(user: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const history = this.#historyOf(user)
    history.waiting++
    try {
      const release = await history.lock.acquire(signal)
      return await work().finally(release)
    } finally {
      history.waiting--
      this.#dropIfIdle(user, history)
    }
  }

  #historyOf(user: string): History {
    const history = this.#users.get(user) ?? { entries: [], lock: createLock(), waiting: 0 }
    this.#users.set(user, history)
    return history
  }

  #dropIfIdle(user: string, { entries, waiting }: History): void {
    if (entries.length === 0 && waiting === 0) this.#users.delete(user)
  }

  #dropOldest(): boolean {
    for (const entry of this.#all.keys()) {
      this.remove(entry)
      return true
    }
    return false
  }
}

const EMPTY = Buffer.alloc(0)

function costOf({ path, before }: Change, region: Region | undefined): number {
  const kept = before === undefined || region === undefined ? 0 : before.content.length - region.prefix - region.suffix
  return ENTRY_BYTES + path.length * 2 + kept
}

/** A copy of what was replaced: the content itself would be kept with it. */
function undoneFile({ path, before }: Change, region: Region | undefined, tag = ''): UndoneFile {
  if (before === undefined || region === undefined) return { path, after: tag, before: undefined }
  const content = Buffer.from(before.content.subarray(region.prefix, before.content.length - region.suffix))
  return { path, after: tag, before: { tag: before.tag, region, content } }
}

/** The content that a file had before an edit, from what it has now. The caller counts it. */
export function undoneContent(now: Buffer, { region, content }: NonNullable<UndoneFile['before']>): Buffer {
  return Buffer.concat([now.subarray(0, region.prefix), content, now.subarray(now.length - region.suffix)])
}
