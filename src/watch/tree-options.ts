import type { Hold } from '../budget/budget.ts'
import type { AppError } from '../errors.ts'
import type { Change } from './change.ts'
import type { Exclude } from './exclude.ts'
import type { Inotify } from './inotify.ts'

export interface TreeOptions {
  readonly inotify: Inotify
  /** Real path of the directory, as bytes. */
  readonly path: Buffer
  /** The path as the client named it, for messages. */
  readonly shown: string
  readonly recursive: boolean
  /** What is neither watched nor reported. */
  readonly exclude?: Exclude | undefined
  /** Takes the memory of the tree and of the events that wait in it. The tree releases it when it closes. */
  readonly hold: Hold
  readonly onChange: (change: Change) => void
  /** Some changes will not be reported: what was made or removed will be, but not what was written. */
  readonly onLoss?: () => void
  /**
   * The tree can emit nothing more: the directory is gone, or the kernel's limits are reached. Called once, at most.
   */
  readonly onEnd: (error: AppError) => void
}
