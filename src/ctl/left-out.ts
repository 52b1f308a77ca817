import { closeSync } from 'node:fs'
import { IgnoreFiles } from '../archives/ignore-files.ts'
import { openTreeRoot } from '../filesystem/tree-root.ts'
import { takeSteps } from '../lib/steps.ts'
import { createExclude, rulesOfFile } from '../watch/exclude.ts'
import { Failure } from './failure.ts'
import { HOLD, self } from './local-tree.ts'
import type { Left } from './tree-state.ts'

/** What of a tree takes no part; the caller disposes it. */
export interface LeftOut extends Left, Disposable {
  /** Nothing is ever left out. */
  readonly keepsNothing: boolean
  /** The same of a path in a tree whose directories may be left out themselves. */
  leavesOutBelow(path: string, isDirectory: boolean): boolean
}

interface LeftOutOptions {
  /** Patterns as in a .gitignore. */
  readonly exclude: readonly string[]
  /** Also what the .gitignore files of the tree say. */
  readonly gitignore: boolean
}

/** What is left out of a tree of this machine. Throws Failure. */
export async function openLeftOut(root: string, { exclude, gitignore }: LeftOutOptions): Promise<LeftOut> {
  const excluded = createExclude(exclude)
  const fd = gitignore ? await openTreeRoot(root, self()) : undefined
  if (gitignore && fd === undefined) throw new Failure('usage', `${root} is not a directory`)
  const ignored =
    fd === undefined ? undefined : new IgnoreFiles(fd, { owner: self(), hold: HOLD, rulesOf: rulesOfFile })
  const leavesOut = (path: string, isDirectory: boolean) =>
    (excluded !== undefined && takeSteps(excluded(path, isDirectory))) ||
    (ignored !== undefined && takeSteps(ignored.ignores(path, isDirectory)))
  return {
    keepsNothing: excluded === undefined && ignored === undefined,
    enter: async (directory) => ignored?.enter(Buffer.from(directory, 'latin1')),
    leavesOut,
    leavesOutBelow: (path, isDirectory) => {
      for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1))
        if (leavesOut(path.slice(0, at), true)) return true
      return leavesOut(path, isDirectory)
    },
    [Symbol.dispose]: () => fd !== undefined && closeSync(fd),
  }
}
