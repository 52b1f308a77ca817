import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { GroupName } from './properties.ts'
import { placeIn } from './split-group.ts'

/** The directories that commands without limits go into (`placeIn`), held open. */
interface Places {
  /** Opens that of a cgroup, anew if it was open. Rejects with the errno. */
  open(name: GroupName): Promise<void>
  /** See `Cgroups.descriptor`. */
  descriptor(name: GroupName): number | undefined
  readonly closed: boolean
  /** Idempotent. */
  close(): Promise<void>
}

/** Those of the cgroups below `root`; none is open yet. */
export function createPlaces(root: string): Places {
  const handles = new Map<GroupName, FileHandle>()
  let closed = false
  return {
    open: async (name) => {
      const handle = await open(await placeIn(join(root, name)), 'r')
      const old = closed ? handle : handles.get(name)
      if (!closed) handles.set(name, handle)
      // Starts under way have a descriptor of their own.
      await old?.close()
    },
    descriptor: (name) => handles.get(name)?.fd,
    get closed() {
      return closed
    },
    close: async () => {
      closed = true
      const open = [...handles.values()]
      handles.clear()
      await Promise.all(open.map((handle) => handle.close()))
    },
  }
}
