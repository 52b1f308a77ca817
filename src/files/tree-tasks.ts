import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { failureKind, fileErrno, reasonOf } from '../filesystem/failure.ts'
import { refusalOf } from '../filesystem/file-user.ts'
import { WakeUp } from '../lib/wake-up.ts'
import {
  cancelTreeTask,
  createTreeTask,
  type TreeState,
  type TreeTask,
  treeTaskState,
  unpackTreeState,
} from '../native/tree-task.ts'
import { MAX_STUCK_TREE_TASKS, MAX_TREE_TASKS, TREE_TASK_BYTES } from './limits.ts'
import { stillness } from './still.ts'

/** Whom work on a tree is for. */
export interface TreeTaskOptions {
  readonly signal: AbortSignal
  /** Counts its memory. The caller releases it. */
  readonly hold: Hold
  /** Called with the last state, also if the caller has left. */
  readonly onEnd?: (state: TreeState) => void
}

/** A failure of work on a tree: the system error is the cause. */
export class TreeFailure extends Error {
  readonly state: TreeState

  constructor(cause: unknown, state: TreeState) {
    super('work on a tree failed', { cause })
    this.name = 'TreeFailure'
    this.state = state
  }
}

/** Between two looks how far it is. */
const LOOK_MS = 100
/** After which one that was to end counts as stuck in a system call, as on a mount whose server is gone. */
const STUCK_MS = 5_000

const NO_ANSWER = Object.assign(new Error('ETIMEDOUT'), { code: 'ETIMEDOUT' })

let running = 0
let stuck = 0

/**
 * Runs work on a tree: how far it is several times a second, and at last when it is done. It is cancelled with the
 * iteration, which does not wait for it. Rejects with TreeFailure, of ETIMEDOUT when it hangs, the
 * signal's reason or AppError budget_spent.
 * @param start begins it.
 */
export async function* runTreeTask(
  start: (task: TreeTask) => Promise<unknown>,
  { signal, hold, onEnd }: TreeTaskOptions,
): AsyncGenerator<{ readonly done: boolean; readonly state: TreeState }, void> {
  signal.throwIfAborted()
  if (running >= MAX_TREE_TASKS || stuck >= MAX_STUCK_TREE_TASKS)
    throw new AppError('budget_spent', `${MAX_TREE_TASKS} trees are worked on already; try again`)
  hold.grow(TREE_TASK_BYTES)
  const task = createTreeTask()
  const work = begin(task, start, onEnd)
  const hangs = stillness()
  try {
    while (work.outcome === undefined) {
      if (await work.ended.wait(LOOK_MS, signal)) continue
      const state = unpackTreeState(treeTaskState(task))
      if (hangs(state.spentNs)) throw new TreeFailure(NO_ANSWER, { ...state, blamed: state.lookedAt })
      yield { done: false, state }
    }
    if (work.outcome.failed) throw new TreeFailure(work.outcome.error, work.outcome.state)
    yield { done: true, state: work.outcome.state }
  } finally {
    work.giveUp()
  }
}

type Outcome = { readonly state: TreeState } & (
  | { readonly failed: false }
  | { readonly failed: true; readonly error: unknown }
)

interface Work {
  outcome: Outcome | undefined
  readonly ended: WakeUp
  /** It is to end, if it has not. */
  giveUp(): void
}

/** Counts it as long as it runs; stuck ones no longer count as running. */
function begin(task: TreeTask, start: (task: TreeTask) => Promise<unknown>, onEnd: TreeTaskOptions['onEnd']): Work {
  let isStuck = false
  let timer: NodeJS.Timeout | undefined
  const work: Work = {
    outcome: undefined,
    ended: new WakeUp(),
    giveUp: () => {
      if (work.outcome !== undefined) return
      cancelTreeTask(task)
      timer = setTimeout(() => {
        isStuck = true
        running--
        stuck++
      }, STUCK_MS).unref()
    },
  }
  const end = (failure: { readonly failed: false } | { readonly failed: true; readonly error: unknown }) => {
    clearTimeout(timer)
    if (isStuck) stuck--
    else running--
    const state = unpackTreeState(treeTaskState(task))
    work.outcome = { ...failure, state }
    onEnd?.(state)
    work.ended.wake()
  }
  running++
  Promise.resolve()
    .then(() => start(task))
    .then(
      () => end({ failed: false }),
      (error: unknown) => end({ failed: true, error }),
    )
  return work
}

/** What can fail in every kind of work: as an AppError. @param action such as `copying` */
export function treeError(action: string, path: string, failure: unknown): unknown {
  if (!(failure instanceof TreeFailure)) return failure
  const { cause, state } = failure
  const blamed = state.blamed.length === 0 ? path : `${path}/${state.blamed.toString()}`
  const refusal = refusalOf(blamed, cause)
  if (refusal !== undefined) return refusal
  return new AppError(
    kindOf(cause),
    `error ${action} '${blamed}': ${WORDS[fileErrno(cause) ?? ''] ?? reasonOf(cause)}`,
    {
      cause,
    },
  )
}

/** What these mean of a tree. */
const WORDS: Readonly<Record<string, string>> = {
  ENOBUFS: 'a directory has too many names, or there are too many files of several names',
  ENAMETOOLONG: 'it is more than 500 levels or 4095 bytes deep',
  ELOOP: 'the directory is in itself',
  ETIMEDOUT: 'the filesystem that is mounted there does not answer',
}

function kindOf(error: unknown): AppError['kind'] {
  const errno = fileErrno(error) ?? ''
  if (errno === 'ENOBUFS' || errno === 'ENAMETOOLONG') return 'resource_exhausted'
  if (errno === 'ELOOP') return 'invalid_argument'
  if (errno === 'EACCES' || errno === 'EPERM') return 'permission_denied'
  return syscallOf(error) === 'source' && (errno === 'ENOENT' || errno === 'ENOTDIR') ? 'not_found' : failureKind(error)
}

/** The step that failed. */
export function syscallOf(error: unknown): string {
  return error instanceof Error && 'syscall' in error ? String(error.syscall) : ''
}
