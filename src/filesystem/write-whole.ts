import type { FileHandle } from 'node:fs/promises'

/** Writes all bytes, however many calls it takes, at a position or, for null, at the current one. Rejects with the system error. */
export async function writeWhole(handle: FileHandle, bytes: Buffer, position: number | null): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done
    done += (await handle.write(bytes, done, bytes.length - done, at)).bytesWritten
  }
}
