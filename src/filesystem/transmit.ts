import type { Writable } from 'node:stream'
import type { Download } from './download.ts'

/** Bytes of one read: large enough that the overhead disappears, small enough for many downloads at once. */
const BUFFER_BYTES = 256 * 1024
/** Buffers that are kept for the next download, 4 MiB together. Fresh ones would wait for the garbage collector. */
const MAX_SPARE_BUFFERS = 16

const spare: Buffer[] = []

/** Bytes as they are, or a piece of the file: `length` bytes from `start` on; without a length, from where reading stopped to the end. */
export type Piece = Buffer | { readonly start: number; readonly length: number } | 'rest'

/**
 * Writes pieces one after the other, reading the next one while the last one is on its way, in constant memory. Does not end the
 * target, nor close the file. Rejects when the file is shorter than a piece, or the target fails or closes.
 */
export async function transmit(download: Download, pieces: Iterable<Piece>, target: Writable): Promise<void> {
  const writer = createWriter(target)
  const buffers = [takeBuffer(), takeBuffer()] as const
  let turn = 0
  try {
    for (const piece of pieces) {
      if (Buffer.isBuffer(piece)) {
        await writer.write(piece)
        continue
      }
      let position = piece === 'rest' ? null : piece.start
      let left = piece === 'rest' ? Number.POSITIVE_INFINITY : piece.length
      while (left > 0) {
        const buffer = turn++ % 2 === 0 ? buffers[0] : buffers[1]
        const bytes = await download.read(buffer.subarray(0, Math.min(left, BUFFER_BYTES)), position)
        if (bytes === 0 && piece === 'rest') break
        if (bytes === 0) throw new Error('the file became shorter while it was read')
        if (position !== null) position += bytes
        left -= bytes
        await writer.write(buffer.subarray(0, bytes))
      }
    }
    await writer.flushed()
    // Only now nobody uses them any more; after a failure they are left to the garbage collector.
    for (const buffer of buffers) giveBack(buffer)
  } finally {
    writer.release()
  }
}

/** Resolves a write when the one before it has arrived, so that two buffers suffice. */
function createWriter(target: Writable) {
  const closed = Promise.withResolvers<never>()
  closed.promise.catch(() => {})
  const onClose = () => closed.reject(new Error('the receiver closed'))
  const onError = (error: Error) => closed.reject(error)
  target.on('close', onClose).on('error', onError)
  if (target.destroyed) onClose()
  let last: Promise<void> = Promise.resolve()
  const flushed = () => Promise.race([last, closed.promise])
  return {
    write: async (bytes: Buffer): Promise<void> => {
      const before = last
      last = new Promise((resolve, reject) => {
        target.write(bytes, (error) => (error ? reject(error) : resolve()))
      })
      last.catch(() => {})
      await Promise.race([before, closed.promise])
    },
    flushed,
    release: () => {
      // The error listener stays: a late error of a connection must not end the daemon.
      target.off('close', onClose)
    },
  }
}

function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
}

function giveBack(buffer: Buffer): void {
  if (spare.length < MAX_SPARE_BUFFERS) spare.push(buffer)
}
