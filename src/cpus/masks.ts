import { readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCpuList } from './cpu-list.ts'

/** The CPUs of the machine, ascending. */
export interface CpuMasks {
  /** That can be online; does not change. Empty: not known. */
  readonly possible: readonly number[]
  /**
   * That are online now; empty: not known. Takes some microseconds: the kernel answers from memory, without the lock
   * that a change of CPUs holds, which `cpuN/online` waits for.
   */
  online(): readonly number[]
  /** Closes the descriptors. Idempotent. */
  close(): Promise<void>
}

/** Where the kernel lists CPUs. */
export const CPU_ROOT = '/sys/devices/system/cpu'

/** A list of every other of a thousand CPUs fits. */
const ROOM = 4096

/** Opens the masks of `root` (CPU_ROOT; tests have their own). Never rejects. */
export async function openCpuMasks(root: string): Promise<CpuMasks> {
  const buffer = Buffer.alloc(ROOM)
  const handles = new Map<string, FileHandle>()
  const openMask = async (name: string) => {
    const handle = await open(join(root, name)).catch(() => undefined)
    if (handle !== undefined) handles.set(name, handle)
  }
  const read = (name: string): readonly number[] => {
    const fd = handles.get(name)?.fd
    if (fd === undefined) return []
    try {
      return parseCpuList(buffer.toString('latin1', 0, readSync(fd, buffer, 0, ROOM, 0))) ?? []
    } catch {
      return []
    }
  }
  await Promise.all([openMask('possible'), openMask('online')])
  return {
    possible: read('possible'),
    online: () => read('online'),
    close: async () => {
      const open = [...handles.values()]
      handles.clear()
      await Promise.all(open.map((handle) => handle.close()))
    },
  }
}
