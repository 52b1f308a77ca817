import { readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEvents } from './group-files.ts'

/** Reads whether a cgroup lets processes run, fast enough to be asked at every start. */
export interface GroupState {
  /**
   * `frozen`: it is being frozen or is frozen, also by others, or with something above it. `unknown`: it is gone, or
   * this was closed. Takes 3 µs: the kernel answers both reads from memory, without a lock.
   */
  read(): 'frozen' | 'running' | 'unknown'
  /** Closes the descriptors. Idempotent. */
  close(): void
}

/** Both files fit. */
const ROOM = 256

/** Opens a cgroup's files. Resolves with undefined if they cannot be opened. */
export async function openGroupState(directory: string): Promise<GroupState | undefined> {
  const opened = await Promise.allSettled(['cgroup.freeze', 'cgroup.events'].map((name) => open(join(directory, name))))
  const handles = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const [freeze, events] = handles
  if (freeze === undefined || events === undefined) {
    await Promise.all(handles.map((handle) => handle.close()))
    return undefined
  }
  const buffer = Buffer.alloc(ROOM)
  const textOf = (fd: number) => buffer.toString('latin1', 0, readSync(fd, buffer, 0, ROOM, 0))
  let closed = false
  return {
    read: () => {
      if (closed) return 'unknown'
      try {
        const frozen = textOf(freeze.fd).startsWith('1') || parseEvents(textOf(events.fd)).frozen
        return frozen ? 'frozen' : 'running'
      } catch {
        return 'unknown'
      }
    },
    close: () => {
      if (closed) return
      closed = true
      void Promise.allSettled([freeze.close(), events.close()])
    },
  }
}
