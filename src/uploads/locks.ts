import { AppError } from '../errors.ts'
import { SILENT_MS } from './limits.ts'

/** The right to work on an upload, which one request has at a time. Disposing releases it. */
export interface UploadLock extends Disposable {
  /** Aborts with AppError aborted when another request takes over. */
  readonly signal: AbortSignal
  /** To be called for each piece that comes. */
  touch(): void
  /** From now on no other request takes over. */
  keep(): void
}

/** The request that has the lock. */
interface Holder {
  readonly cancel: AbortController
  readonly ended: Promise<void>
  touched: number
  kept: boolean
}

/** Locks by the id of an upload. */
interface UploadLocks {
  /**
   * Acquires the lock. A request that has been silent for `SILENT_MS` is ended before, as its client comes back on another
   * connection then. Rejects with AppError locked while another one is at work.
   */
  acquire(id: string): Promise<UploadLock>
  /**
   * Acquires the lock to remove the upload: the request that has it is ended, unless it puts the file in its place,
   * which is waited for. Rejects with AppError locked if yet another one has it meanwhile.
   */
  seize(id: string): Promise<UploadLock>
}

export function createUploadLocks(): UploadLocks {
  const holders = new Map<string, Holder>()
  return {
    acquire: async (id) => {
      const before = holders.get(id)
      if (before === undefined) return begin(id, holders)
      if (before.kept || performance.now() - before.touched < SILENT_MS) throw locked()
      return succeed(id, before, holders)
    },
    seize: async (id) => {
      const before = holders.get(id)
      return before === undefined ? begin(id, holders) : succeed(id, before, holders)
    },
  }
}

async function succeed(id: string, before: Holder, holders: Map<string, Holder>): Promise<UploadLock> {
  if (!before.kept) before.cancel.abort(new AppError('aborted', 'another request has taken over this upload'))
  await before.ended
  if (holders.has(id)) throw locked()
  return begin(id, holders)
}

function begin(id: string, holders: Map<string, Holder>): UploadLock {
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  const holder: Holder = { cancel: new AbortController(), ended, touched: performance.now(), kept: false }
  holders.set(id, holder)
  return {
    signal: holder.cancel.signal,
    touch: () => {
      holder.touched = performance.now()
    },
    keep: () => {
      holder.kept = true
    },
    [Symbol.dispose]: () => {
      holders.delete(id)
      resolve()
    },
  }
}

function locked(): AppError {
  return new AppError('locked', 'another request works on this upload')
}
