import { write } from 'node:fs'
import { promisify } from 'node:util'

const writeOnce = promisify(write)

/**
 * Writes all bytes, however many calls it takes, at a position or, for null, at the current one. Rejects with the
 * system error.
 */
export async function writeWhole(fd: number, bytes: Buffer, position: number | null): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done
    done += (await writeOnce(fd, bytes, done, bytes.length - done, at)).bytesWritten
  }
}
