import type { Readable } from 'node:stream'
import { constants, createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { AppError } from '../../errors.ts'
import { CutShort, pump, type Sink, Stalled } from '../../lib/pump.ts'
import { raceAbort } from '../../lib/race-abort.ts'

/** How a compressed body begins, and how it is undone. */
interface Format {
  readonly name: string
  /** Bytes before the first block. */
  readonly headerBytes: number
  readonly isHeader: (head: Buffer) => boolean
  readonly create: () => Gunzip | ZstdDecompress
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b, 0x08])
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
/** A window of 8 MiB: what `zstd` uses up to its level 19. */
const MAX_WINDOW_LOG = 23

const FORMATS: Readonly<Record<Exclude<BodyEncoding, 'identity'>, Format>> = {
  // Magic, method, flags, time, system (RFC 1952 2.3).
  gzip: {
    name: 'gzip',
    headerBytes: 10,
    isHeader: (head) => head.subarray(0, 3).equals(GZIP_MAGIC.subarray(0, head.length)),
    create: () => createGunzip({ chunkSize: CHUNK_BYTES }),
  },
  zstd: {
    name: 'zstd',
    headerBytes: ZSTD_MAGIC.length,
    isHeader: (head) => head.equals(ZSTD_MAGIC.subarray(0, head.length)),
    create: () =>
      createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG } }),
  },
}

/** Memory of one that is undone: window, state, and a piece of output. */
export const DECODER_BYTES: Readonly<Record<BodyEncoding, number>> = {
  identity: 0,
  gzip: 48 * 1024 + 64 * 1024,
  zstd: 2 ** MAX_WINDOW_LOG + 512 * 1024,
}

/** zlib's default of 16 KiB makes four times as many calls. */
const CHUNK_BYTES = 64 * 1024

/** What a request says about its body. */
export type BodyEncoding = 'identity' | 'gzip' | 'zstd'

/**
 * Reads `Content-Encoding` (contract B30). Throws AppError invalid_argument for everything but identity, gzip and, where
 * it is taken, zstd.
 */
export function bodyEncodingOf(header: string | undefined, takesZstd: boolean): BodyEncoding {
  const encoding = (header ?? '').trim().toLowerCase()
  if (encoding === '' || encoding === 'identity') return 'identity'
  if (encoding === 'gzip' || (encoding === 'zstd' && takesZstd)) return encoding
  throw unreadable(`unsupported Content-Encoding: ${header}, supported: [gzip]`)
}

/** A body as its sender meant it, lent for the time of `use`. */
interface DecodedBody {
  readonly stream: Readable
  /** Aborts when nothing more will come. */
  readonly signal: AbortSignal
  /** Bytes that have come so far, before they were decoded; without an encoding there is no count: infinite. */
  readonly received: () => number
}

/**
 * Runs `use` on the decoded body. Nothing is decoded ahead of its reader beyond a few buffers. A body that is not compressed
 * so at all is refused before `use` is called, damage found later afterwards: both AppError invalid_argument. A body
 * that ends too early is CutShort to its reader.
 */
export async function withDecodedBody<T>(
  body: Readable,
  { encoding, idleMs }: { readonly encoding: BodyEncoding; readonly idleMs: number },
  use: (decoded: DecodedBody) => Promise<T>,
): Promise<T> {
  const cancel = new AbortController()
  const signal = cancel.signal
  if (encoding === 'identity') return use({ stream: body, signal, received: () => Number.POSITIVE_INFINITY })
  const format = FORMATS[encoding]
  const decoder = format.create()
  let received = 0
  let damage: AppError | undefined
  decoder.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'Z_BUF_ERROR') damage ??= unreadable(error.message)
  })
  const header = Promise.withResolvers<void>()
  const sink = decoderSink(decoder, format, header)
  const counting: Sink = {
    ...sink,
    write: (chunk) => {
      received += chunk.length
      return sink.write(chunk)
    },
  }
  const feeding = pump(body, counting, { signal, idleMs })
  feeding.catch((error: Error) => {
    header.reject(headerError(error, format))
    if (error instanceof Stalled) damage = new AppError('stalled', `error writing file: ${error.message}`)
    decoder.destroy(error)
  })
  try {
    await header.promise
    return await use({ stream: decoder, signal, received: () => received })
  } catch (error) {
    throw damage ?? error
  } finally {
    cancel.abort(new CutShort())
    decoder.destroy()
  }
}

function decoderSink(decoder: Gunzip | ZstdDecompress, format: Format, header: PromiseWithResolvers<void>): Sink {
  const { name, headerBytes } = format
  let head = Buffer.alloc(0)
  const closed = new AbortController()
  decoder.once('close', () => closed.abort(new CutShort()))
  return {
    write: (chunk) => {
      if (head.length < headerBytes) {
        head = Buffer.concat([head, chunk.subarray(0, headerBytes - head.length)])
        if (!format.isHeader(head)) {
          return Promise.reject(unreadable(`failed to create ${name} reader: ${name}: invalid header`))
        }
        if (head.length >= headerBytes) header.resolve()
      }
      if (decoder.write(chunk)) return undefined
      const drained = new Promise<void>((resolve) => decoder.once('drain', resolve))
      return raceAbort(drained, closed.signal)
    },
    end: async () => {
      if (head.length < headerBytes) {
        throw unreadable(`failed to create ${name} reader: ${head.length === 0 ? 'EOF' : 'unexpected EOF'}`)
      }
      decoder.end()
    },
  }
}

function headerError(error: Error, { name }: Format): Error {
  return error instanceof CutShort ? unreadable(`failed to create ${name} reader: ${error.message}`) : error
}

function unreadable(problem: string): AppError {
  return new AppError('invalid_argument', `error decompressing request body: ${problem}`)
}
