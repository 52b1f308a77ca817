import { EventType } from '../gen/filesystem/filesystem_pb.js'
import type { ChangeSink } from './differences.ts'
import type { TreeNode } from './tree-node.ts'

/** What is reported, and how directories are armed. */
interface ContentsSink extends ChangeSink {
  /** What is below subdirectories is reported, too. */
  readonly recursive: boolean
  /** Arms a subdirectory anew. Undefined: it is gone. */
  readonly renew: (name: string, parent: TreeNode) => Promise<TreeNode | undefined>
  /** Nothing more is to be reported. */
  readonly isOver: () => boolean
}

/**
 * Everything in a directory that has just appeared is new as well (contract C31). In a directory that was renamed,
 * those subdirectories are armed again that may have been armed after the rename, by their old path.
 * @param renamed number of the event of its rename; undefined: it was armed after it had appeared.
 */
export async function emitContents(node: TreeNode, renamed: number | undefined, sink: ContentsSink): Promise<void> {
  const { emit, slice, recursive, isOver } = sink
  await node.unpack(slice)
  for (const [name, isDirectory] of node.entries) {
    emit(EventType.CREATE, node.pathOf(name))
    if (isDirectory && recursive) await emitChild(node, name, { renamed, sink })
    const wait = slice.next()
    if (wait !== undefined) await wait
    if (isOver()) return
  }
}

async function emitChild(
  node: TreeNode,
  name: string,
  { renamed, sink }: { readonly renamed: number | undefined; readonly sink: ContentsSink },
): Promise<void> {
  const child = node.children.get(name)
  if (renamed === undefined || (child !== undefined && child.settled < renamed)) {
    if (child !== undefined) await emitContents(child, renamed, sink)
    return
  }
  const fresh = await sink.renew(name, node)
  if (fresh !== undefined) await emitContents(fresh, undefined, sink)
}
