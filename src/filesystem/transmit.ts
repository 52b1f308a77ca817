import type { Writable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { loopTurns } from '../lib/turns.ts'
import type { Download } from './download.ts'

/** Bytes of one read while the client takes what it gets: large enough that the overhead disappears. */
const READ_BYTES = 256 * 1024
/**
 * Bytes of a read that every download may always do: the first one, which shows whether its client reads at all, and
 * all when memory is short.
 */
export const SMALL_READ_BYTES = 32 * 1024
/**
 * Downloads that read ahead, with two large buffers each, 16 MiB together: clients that stop reading in the middle must
 * not use up the budget.
 */
const MAX_READING_AHEAD = 32
/** Buffers that are kept for the next download, 4 MiB together. Fresh ones would wait for the garbage collector. */
const MAX_SPARE_BUFFERS = 16

const spare: Buffer[] = []
let readingAhead = 0

/**
 * Bytes as they are, or a piece of the file: `length` bytes from `start` on; without a length, from where reading
 * stopped to the end.
 */
export type Piece = Buffer | { readonly start: number; readonly length: number } | 'rest'

/**
 * Writes pieces one after the other in constant memory. The first read is small, and nothing more is read before the
 * client has taken it; from then on the next one is read while the last one is on its way, as far as there is memory.
 * Does not end the target, nor close the file. Rejects when the file is shorter than a piece, or the target fails or
 * closes.
 * @param hold covers a small read already; grows while large ones are under way.
 */
export async function transmit(
  download: Download,
  pieces: Iterable<Piece>,
  { target, hold }: { readonly target: Writable; readonly hold: Hold },
): Promise<void> {
  const writer = createWriter(target)
  const memory = createMemory(hold)
  try {
    for (const piece of pieces) {
      if (Buffer.isBuffer(piece)) {
        await writer.write(piece)
        continue
      }
      let position = piece === 'rest' ? null : piece.start
      let left = piece === 'rest' ? Number.POSITIVE_INFINITY : piece.length
      while (left > 0) {
        if (!memory.readsAhead()) await writer.flushed()
        const turn = loopTurns.turn(target)
        if (turn !== undefined) await turn
        const buffer = memory.next(left)
        const bytes = await download.read(buffer.subarray(0, Math.min(left, buffer.length)), position)
        if (bytes === 0 && piece === 'rest') break
        if (bytes === 0) throw new Error('the file became shorter while it was read')
        if (position !== null) position += bytes
        left -= bytes
        await writer.write(buffer.subarray(0, bytes))
      }
    }
    await writer.flushed()
    memory.giveBack()
  } finally {
    memory.release()
    writer.release()
  }
}

/** The buffers of one download. */
function createMemory(hold: Hold) {
  let small: Buffer | undefined
  let large: readonly [Buffer, Buffer] | undefined
  let turn = 0
  const mayReadAhead = (left: number) =>
    small !== undefined && left > SMALL_READ_BYTES && readingAhead < MAX_READING_AHEAD && hold.tryGrow(2 * READ_BYTES)
  return {
    /** Whether the next buffer may be filled while the one before is written. */
    readsAhead: () => large !== undefined,
    next: (left: number): Buffer => {
      if (large === undefined && mayReadAhead(left)) {
        readingAhead++
        large = [takeBuffer(), takeBuffer()]
      }
      if (large !== undefined) return large[turn++ % 2 === 0 ? 0 : 1]
      small ??= Buffer.allocUnsafeSlow(SMALL_READ_BYTES)
      return small
    },
    /**
     * To be called when everything has arrived, so that the buffers are used again; after a failure they are left to
     * the garbage collector.
     */
    giveBack: () => {
      for (const buffer of large ?? []) if (spare.length < MAX_SPARE_BUFFERS) spare.push(buffer)
    },
    release: () => {
      if (large === undefined) return
      readingAhead--
      hold.shrink(2 * READ_BYTES)
    },
  }
}

function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(READ_BYTES)
}

/**
 * Writes with one write under way at most: all but the last have arrived. Rejects when the target closes or fails
 * first.
 */
function createWriter(target: Writable) {
  let failure: Error | undefined
  let fail: (error: Error) => void = () => {}
  let last: Promise<void> = Promise.resolve()
  const onError = (error: Error) => {
    failure ??= error
    fail(failure)
  }
  const onClose = () => onError(new Error('the receiver closed'))
  target.on('close', onClose).on('error', onError)
  if (target.destroyed) onClose()
  return {
    /** Resolves when the write before it has arrived. */
    write: async (bytes: Buffer): Promise<void> => {
      await last
      last = new Promise((resolve, reject) => {
        if (failure !== undefined) return reject(failure)
        fail = reject
        target.write(bytes, (error) => (error ? reject(error) : resolve()))
      })
      last.catch(() => {})
    },
    flushed: () => last,
    release: () => {
      // The error listener stays: a late error of a connection must not end the daemon.
      target.off('close', onClose)
    },
  }
}
