import { type FileHandle, open } from 'node:fs/promises'

/**
 * A file of /proc or a cgroup that is read repeatedly. It stays open between reads, which halves the cost of a read.
 */
export interface ReusableFile {
  /**
   * The text as it is now, as latin1. One read at a time. Rejects with the system's error; the next read opens the file
   * anew.
   */
  read(): Promise<string>
  /** Idempotent; a later read opens the file again. */
  close(): Promise<void>
}

/** Enough for every file but /proc/stat of a machine with some 40 CPUs or more. */
const FIRST_BYTES = 4096

/** More than any file of figures; a file that never ends is cut here. */
const MAX_BYTES = 1024 * 1024

/** The first read opens the file. The caller closes it. */
export function reusableFile(path: string): ReusableFile {
  let buffer = Buffer.alloc(FIRST_BYTES)
  let handle: FileHandle | undefined
  const close = async () => {
    const open = handle
    handle = undefined
    await open?.close()
  }
  return {
    close,
    read: async () => {
      try {
        handle ??= await open(path)
        for (;;) {
          // Reading from offset 0 makes the kernel generate the text anew.
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
          if (bytesRead < buffer.length || buffer.length >= MAX_BYTES) return buffer.toString('latin1', 0, bytesRead)
          buffer = Buffer.alloc(buffer.length * 2)
        }
      } catch (error) {
        await close()
        throw error
      }
    },
  }
}
