import { EventType } from '../gen/filesystem/filesystem_pb.js'
import type { TimeSlice } from '../lib/time-slice.ts'
import type { TreeNode } from './tree-node.ts'

/** Gets changes, and takes breaks between them. */
export interface Telling {
  /** @param path relative to the watched directory, one character per byte. */
  readonly tell: (type: EventType, path: string) => void
  readonly slice: TimeSlice
}

/** Reports that everything in a directory is gone, what is deepest first. */
export async function tellRemoved(node: TreeNode, telling: Telling): Promise<void> {
  for (const name of node.entries.keys()) await tellEntryRemoved(node, name, telling)
}

/** Reports what a directory has that it did not have before, and the other way round, with all that is below it. */
export async function tellDifferences(before: TreeNode | undefined, after: TreeNode, telling: Telling): Promise<void> {
  const known = before?.entries ?? new Map<string, boolean>()
  if (before !== undefined)
    for (const [name, isDirectory] of known)
      if (after.entries.get(name) !== isDirectory) await tellEntryRemoved(before, name, telling)
  for (const [name, isDirectory] of after.entries) {
    const isNew = known.get(name) !== isDirectory
    if (isNew) telling.tell(EventType.CREATE, after.pathOf(name))
    const child = after.children.get(name)
    if (child !== undefined) await tellDifferences(isNew ? undefined : before?.children.get(name), child, telling)
    const wait = telling.slice.next()
    if (wait !== undefined) await wait
  }
}

async function tellEntryRemoved(node: TreeNode, name: string, telling: Telling): Promise<void> {
  const child = node.children.get(name)
  if (child !== undefined) await tellRemoved(child, telling)
  telling.tell(EventType.REMOVE, node.pathOf(name))
  const wait = telling.slice.next()
  if (wait !== undefined) await wait
}
