import type { Transform } from 'node:stream'
import { constants, createGzip, createZstdCompress } from 'node:zlib'

/** What an answer may be compressed with, by its name in `Content-Encoding`. */
export type Compression = 'gzip' | 'zstd'

/**
 * Compressors that run at once, over all answers: each keeps a thread of the pool busy, and a client that stops reading
 * keeps its compressor. What finds none free is sent as it is.
 */
const MAX_COMPRESSORS = 4

/** Memory of one with a piece of input and one of output on their way, as measured: gzip 400 KiB, zstd 570 KiB. */
export const COMPRESSOR_BYTES = 640 * 1024

/** Compression is for the way to the client, not for keeping: the fastest level, three times as fast as the default. */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 }

/**
 * Half of gzip's processor time. A window of 128 KiB: with the level's own one, 512 KiB, it takes 930 KiB of memory for
 * 5 % less output.
 */
const ZSTD = {
  params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_windowLog]: 17 },
  chunkSize: 64 * 1024,
}

const make: Record<Compression, () => Transform> = {
  gzip: () => createGzip(GZIP),
  zstd: () => createZstdCompress(ZSTD),
}

/** Their names, in the order of our messages. */
export const COMPRESSIONS: readonly string[] = Object.keys(make)

/** Whether an answer may be compressed so. */
export function isCompression(name: string): name is Compression {
  return COMPRESSIONS.includes(name)
}

/** The compressors of all answers. */
export interface Compressors {
  /** A compressor, whose place is free again when it closes; undefined: all are busy. */
  take(compression: Compression): Transform | undefined
  /** Runs `work`, which compresses something whole; undefined without running it when all are busy. */
  run<T>(work: () => Promise<T>): Promise<T> | undefined
}

export function createCompressors(limit = MAX_COMPRESSORS): Compressors {
  let busy = 0
  const free = () => {
    busy--
  }
  return {
    take: (compression) => {
      if (busy >= limit) return undefined
      busy++
      return make[compression]().once('close', free)
    },
    run: (work) => {
      if (busy >= limit) return undefined
      busy++
      return work().finally(free)
    },
  }
}
