import type { FileUser } from '../filesystem/file-user.ts'
import { measureTree, type TreeState, type TreeTask, type TreeUsage, unpackUsages } from '../native/tree-task.ts'
import { runTreeTask, type TreeTaskOptions, treeError } from './tree-tasks.ts'

/** What a disk usage sends. */
export type UsageItem =
  | { readonly kind: 'usage'; readonly usage: TreeUsage }
  | { readonly kind: 'progress'; readonly state: TreeState }
  | { readonly kind: 'summary'; readonly state: TreeState; readonly whole: TreeUsage }

interface UsageOptions extends Pick<TreeTaskOptions, 'signal' | 'hold'> {
  readonly owner: FileUser
  /** Levels of directories. */
  readonly depth: number
  readonly oneFilesystem: boolean
}

/**
 * What a file or directory takes of the disk, and the directories in it. Rejects with AppError: not_found,
 * permission_denied, invalid_argument for a directory in itself, resource_exhausted, budget_spent, internal.
 * @param path absolute.
 */
export async function* diskUsage(
  path: string,
  { owner, depth, oneFilesystem, signal, hold }: UsageOptions,
): AsyncGenerator<UsageItem[], void> {
  let whole: TreeUsage | undefined
  try {
    const start = (task: TreeTask) =>
      measureTree(task, Buffer.from(path), owner, Math.min(depth, MAX_DEPTH), oneFilesystem)
    for await (const { done, state } of runTreeTask(start, { signal, hold })) {
      const usages = [...unpackUsages(state.output)]
      whole = usages.at(-1) ?? whole
      const items = usages.map((usage): UsageItem => ({ kind: 'usage', usage }))
      if (!done) yield [...items, { kind: 'progress', state }]
      else if (whole !== undefined) yield [...items, { kind: 'summary', state, whole }]
    }
  } catch (error) {
    throw treeError('measuring', path, error)
  }
}

/** Deeper trees are refused anyway. */
const MAX_DEPTH = 500
