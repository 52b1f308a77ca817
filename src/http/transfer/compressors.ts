import { constants, createGzip, type Gzip } from 'node:zlib'

/**
 * Compressors that run at once, over all answers: each keeps a thread of the pool busy, and a client that stops reading keeps its
 * compressor. What finds none free is sent as it is.
 */
const MAX_COMPRESSORS = 4

/** Memory of one: its window and tables (256 KiB, zlib.h), a piece of input and one of output on their way. */
export const COMPRESSOR_BYTES = 512 * 1024

/** Compression is for the way to the client, not for keeping: the fastest level, three times as fast as the default. */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 }

/** The compressors of all answers. */
export interface Compressors {
  /** A compressor, whose place is free again when it closes; undefined: all are busy. */
  take(): Gzip | undefined
  /** Runs `work`, which compresses something whole; undefined without running it when all are busy. */
  run<T>(work: () => Promise<T>): Promise<T> | undefined
}

/** Makes them. */
export function createCompressors(limit = MAX_COMPRESSORS): Compressors {
  let busy = 0
  const free = () => {
    busy--
  }
  return {
    take: () => {
      if (busy >= limit) return undefined
      busy++
      return createGzip(GZIP).once('close', free)
    },
    run: (work) => {
      if (busy >= limit) return undefined
      busy++
      return work().finally(free)
    },
  }
}
