import { EventType } from '../gen/filesystem/filesystem_pb.js'
import type { TimeSlice } from '../lib/time-slice.ts'
import type { TreeNode } from './tree-node.ts'

/** Receives changes, and yields to the event loop between them. */
export interface ChangeSink {
  /** @param path relative to the watched directory, one character per byte. */
  readonly emit: (type: EventType, path: string) => void
  readonly slice: TimeSlice
}

/** Reports that everything in a directory is gone, what is deepest first. */
export async function emitRemoved(node: TreeNode, sink: ChangeSink): Promise<void> {
  await node.unpack(sink.slice)
  for (const name of node.entries.keys()) await emitEntryRemoved(node, name, sink)
}

/** Reports which entries of a directory were made and removed between two readings, with everything below them. */
export async function emitDifferences(before: TreeNode | undefined, after: TreeNode, sink: ChangeSink): Promise<void> {
  await after.unpack(sink.slice)
  await before?.unpack(sink.slice)
  const known = before?.entries ?? new Map<string, boolean>()
  if (before !== undefined)
    for (const [name, isDirectory] of known) {
      if (after.entries.get(name) !== isDirectory) await emitEntryRemoved(before, name, sink)
      const wait = sink.slice.next()
      if (wait !== undefined) await wait
    }
  for (const [name, isDirectory] of after.entries) {
    const isNew = known.get(name) !== isDirectory
    if (isNew) sink.emit(EventType.CREATE, after.pathOf(name))
    const child = after.children.get(name)
    if (child !== undefined) await emitDifferences(isNew ? undefined : before?.children.get(name), child, sink)
    const wait = sink.slice.next()
    if (wait !== undefined) await wait
  }
}

async function emitEntryRemoved(node: TreeNode, name: string, sink: ChangeSink): Promise<void> {
  const child = node.children.get(name)
  if (child !== undefined) await emitRemoved(child, sink)
  sink.emit(EventType.REMOVE, node.pathOf(name))
  const wait = sink.slice.next()
  if (wait !== undefined) await wait
}
