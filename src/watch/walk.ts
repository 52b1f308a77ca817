import { watchTree } from '../native/index.ts'
import { unpackTree, type WatchedTree } from '../native/watched-tree.ts'
import { armError } from './arm-error.ts'
import type { ArmRequest } from './inotify.ts'
import { WATCH_MASK } from './inotify-event.ts'

/**
 * Room for the lists of a walk: some hundred directories at first, then eight times as much after each walk that needs
 * more.
 */
const FIRST_LIST_BYTES = 64 * 1024
const LIST_GROWTH = 8

/** 10 million short names: more would not fit into any sandbox. */
const MAX_LIST_BYTES = FIRST_LIST_BYTES * LIST_GROWTH ** 4

/** What a few recursive walks at a time begin with, where the budget allows it: 5,000 directories are walked once. */
const MUCH_LIST_BYTES = FIRST_LIST_BYTES * LIST_GROWTH
const MAX_ROOMY_WALKS = 4

/** Puts watches on directories by an inotify instance. Rejects as `Inotify.arm`. */
type Walk = (instance: number, request: ArmRequest) => Promise<WatchedTree>

/** @param undo called with each watch of a walk that has failed, or that is made again with more room. */
export function createWalk(undo: (watch: number) => void): Walk {
  let roomy = 0
  /** The memory is counted for as long as a walk takes. */
  const walkIn = async (room: number, instance: number, request: ArmRequest): Promise<WatchedTree> => {
    const { root, start, recursive, rootWatch = -1, shown, hold, task } = request
    for (let bytes = room; ; bytes *= LIST_GROWTH) {
      hold.grow(bytes)
      const walked = watchTree(instance, root, start, WATCH_MASK, recursive, rootWatch, bytes, task)
      const tree = unpackTree(await walked.finally(() => hold.shrink(bytes)))
      if (tree.failure === undefined) return tree
      for (const { watch } of tree.directories) undo(watch)
      if (tree.failure !== 'EOVERFLOW' || bytes >= MAX_LIST_BYTES) throw armError(tree.failure, shown)
    }
  }
  const mayHaveRoom = ({ recursive, hold }: ArmRequest): boolean => {
    if (!recursive || roomy >= MAX_ROOMY_WALKS || !hold.tryGrow(MUCH_LIST_BYTES)) return false
    hold.shrink(MUCH_LIST_BYTES)
    return true
  }
  return async (instance, request) => {
    if (!mayHaveRoom(request)) return walkIn(FIRST_LIST_BYTES, instance, request)
    roomy++
    try {
      return await walkIn(MUCH_LIST_BYTES, instance, request)
    } finally {
      roomy--
    }
  }
}
