import { readdirSync, renameSync, statSync, watch } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A tree that is given the name of something else beside it, as all who may rename there can do at any time. */
export interface OtherTree {
  /** False: nothing has that name any more. What had it is called `own` then. */
  takeName(name: string): boolean
  /** The name that it has; it throws if it is not whole. */
  find(): Promise<string>
}

const KEPT = 'kept'

export async function makeOtherTree(directory: string): Promise<OtherTree> {
  const first = join(directory, 'other')
  await mkdir(join(first, 'sub'), { recursive: true })
  await writeFile(join(first, 'sub', KEPT), KEPT)
  const { ino } = statSync(first)
  return {
    takeName: (name) => {
      try {
        renameSync(join(directory, name), join(directory, 'own'))
      } catch {
        return false
      }
      renameSync(first, join(directory, name))
      return true
    },
    find: async () => {
      const names = readdirSync(directory)
      const name = names.find((each) => statSync(join(directory, each), { throwIfNoEntry: false })?.ino === ino) ?? ''
      const content = await readFile(join(directory, name, 'sub', KEPT), 'utf8')
      if (content !== KEPT) throw new Error(`the other tree has '${content}'`)
      return name
    },
  }
}

/** Runs `act` with the name of the first directory with such a name as soon as something is in it. To be disposed of. */
export function onceFilled(directory: string, prefix: string, act: (name: string) => void): Disposable {
  const watchers = new DisposableStack()
  const onFirst = (place: string, begin: string, then: (name: string) => void) => {
    const watcher = watchers.adopt(watch(place), (open) => open.close())
    let seen = false
    watcher.on('change', (_, name) => {
      if (seen || !String(name).startsWith(begin)) return
      seen = true
      then(String(name))
    })
  }
  onFirst(directory, prefix, (name) => onFirst(join(directory, name), '', () => act(name)))
  return watchers
}
