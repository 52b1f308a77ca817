import { createTurns } from '../lib/turns.ts'
import type { Armed, Inotify } from './inotify.ts'
import { type NodeSink, type Settlement, TreeNode } from './tree-node.ts'

/** Where a branch grows. */
export interface GrowOptions {
  /** Of the branch's first directory. */
  readonly name: string
  /** Undefined: the first directory is a root. */
  readonly parent: TreeNode | undefined
  readonly sink: NodeSink
  readonly settlement: Settlement
}

/** Makes nodes of all directories that were just watched, and claims them. Undefined: there were none. */
export async function growBranch(armed: Armed, options: GrowOptions): Promise<TreeNode | undefined> {
  const { name, parent, sink, settlement } = options
  const turns = createTurns()
  /** The node that was made last, and those above it up to the first one: the directories come depth first. */
  const line: TreeNode[] = []
  for (const { watch, names, path } of armed.directories) {
    line.length = Math.min(line.length, depthOf(path))
    const above = line.at(-1) ?? parent
    const own = path === '' ? name : path.slice(path.lastIndexOf('/', path.length - 2) + 1, -1)
    const node = new TreeNode({ watch, names, name: own, parent: above, sink, settlement })
    above?.children.set(own, node)
    line.push(node)
    armed.claim(watch, node)
    const wait = turns.next()
    if (wait !== undefined) await wait
  }
  return line[0]
}

/** Takes all listeners of a branch off. */
export async function releaseBranch(inotify: Inotify, branch: TreeNode): Promise<void> {
  const turns = createTurns()
  for (const node of branch.walk()) {
    inotify.release(node.watch, node)
    const wait = turns.next()
    if (wait !== undefined) await wait
  }
}

function depthOf(path: string): number {
  let depth = 0
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) depth++
  return depth
}
