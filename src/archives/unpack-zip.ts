import { constants } from 'node:fs'
import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { createFileSink } from '../filesystem/file-sink.ts'
import { needProc } from '../filesystem/need-proc.ts'
import { pump } from '../lib/pump.ts'
import { closeFile, openPath, unlinkPath } from '../native/file-calls.ts'
import { randomUuid } from '../native/random.ts'
import type { Unpacker, UnpackOptions } from './unpacker.ts'
import { readZip } from './zip-reader.ts'

interface Unpacking extends Pick<UnpackOptions, 'limits' | 'hold'> {
  readonly signal: AbortSignal
  readonly idleMs: number
}

/**
 * Unpacks a zip archive. Only its end says what is in it, so that it is stored first, in a file without a name in the
 * open directory. Rejects as `readZip`, `pump` and the unpacker.
 */
export async function unpackZip(
  source: Readable,
  { root, unpacker }: { readonly root: number; readonly unpacker: Unpacker },
  { limits, hold, signal, idleMs }: Unpacking,
): Promise<void> {
  const fd = await openUnnamed(root)
  try {
    const sink = createFileSink(fd, hold)
    let bytes = 0
    const write = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > limits.bytes)
        return Promise.reject(new AppError('too_large', `the archive has more than ${limits.bytes} bytes`))
      return sink.write(chunk)
    }
    await pump(source, { write, end: () => sink.end() }, { signal, idleMs }).catch(async (error: unknown) => {
      await sink.settled()
      throw error
    })
    for await (const event of readZip(fd, limits.entries)) {
      signal.throwIfAborted()
      await unpacker.take(event, bytes)
    }
    await unpacker.flush()
  } finally {
    await closeFile(fd)
  }
}

async function openUnnamed(root: number): Promise<number> {
  needProc()
  const path = Buffer.from(`/proc/self/fd/${root}/.envd-${randomUuid()}.tmp`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = await openPath(path, flags, 0o600)
  await unlinkPath(path)
  return fd
}
