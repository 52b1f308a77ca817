import type { Readable } from 'node:stream'
import { createGunzip, type Gunzip } from 'node:zlib'
import { AppError } from '../../errors.ts'
import { CutShort, pump, type Sink, Stalled } from '../../lib/pump.ts'
import { raceAbort } from '../../lib/race-abort.ts'

/** Bytes before the first deflate block: magic, method, flags, time, system (RFC 1952 2.3). */
const GZIP_HEADER_BYTES = 10
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b, 0x08])
/** zlib's default of 16 KiB makes four times as many calls. */
const CHUNK_BYTES = 64 * 1024

/** What a request says about its body. */
export type BodyEncoding = 'identity' | 'gzip'

/** Reads `Content-Encoding` (contract B30). Throws AppError invalid_argument for everything but gzip and identity. */
export function bodyEncodingOf(header: string | undefined): BodyEncoding {
  const encoding = (header ?? '').trim().toLowerCase()
  if (encoding === '' || encoding === 'identity') return 'identity'
  if (encoding === 'gzip') return 'gzip'
  throw unreadable(`unsupported Content-Encoding: ${header}, supported: [gzip]`)
}

/** A body as its sender meant it, lent for the time of `use`. */
interface DecodedBody {
  readonly stream: Readable
  /** Aborts when nothing more will come. */
  readonly signal: AbortSignal
}

/**
 * Runs `use` on the decoded body. Nothing is decoded ahead of its reader beyond a few buffers. A body that is not gzip
 * at all is refused before `use` is called, damage found later afterwards: both AppError invalid_argument. A gzip body
 * that ends too early is CutShort to its reader.
 */
export async function withDecodedBody<T>(
  body: Readable,
  { encoding, idleMs }: { readonly encoding: BodyEncoding; readonly idleMs: number },
  use: (decoded: DecodedBody) => Promise<T>,
): Promise<T> {
  const cancel = new AbortController()
  const signal = cancel.signal
  if (encoding === 'identity') return use({ stream: body, signal })
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  let damage: AppError | undefined
  gunzip.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'Z_BUF_ERROR') damage ??= unreadable(error.message)
  })
  const header = Promise.withResolvers<void>()
  const feeding = pump(body, gunzipSink(gunzip, header), { signal, idleMs })
  feeding.catch((error: Error) => {
    header.reject(headerError(error))
    if (error instanceof Stalled) damage = new AppError('stalled', `error writing file: ${error.message}`)
    gunzip.destroy(error)
  })
  try {
    await header.promise
    return await use({ stream: gunzip, signal })
  } catch (error) {
    throw damage ?? error
  } finally {
    cancel.abort(new CutShort())
    gunzip.destroy()
  }
}

function gunzipSink(gunzip: Gunzip, header: PromiseWithResolvers<void>): Sink {
  let head = Buffer.alloc(0)
  const closed = new AbortController()
  gunzip.once('close', () => closed.abort(new CutShort()))
  return {
    write: (chunk) => {
      if (head.length < GZIP_HEADER_BYTES) {
        head = Buffer.concat([head, chunk.subarray(0, GZIP_HEADER_BYTES)])
        if (!head.subarray(0, 3).equals(GZIP_MAGIC.subarray(0, head.length))) {
          return Promise.reject(unreadable('failed to create gzip reader: gzip: invalid header'))
        }
        if (head.length >= GZIP_HEADER_BYTES) header.resolve()
      }
      if (gunzip.write(chunk)) return undefined
      const drained = new Promise<void>((resolve) => gunzip.once('drain', resolve))
      return raceAbort(drained, closed.signal)
    },
    end: async () => {
      if (head.length < GZIP_HEADER_BYTES) {
        throw unreadable(`failed to create gzip reader: ${head.length === 0 ? 'EOF' : 'unexpected EOF'}`)
      }
      gunzip.end()
    },
  }
}

function headerError(error: Error): Error {
  return error instanceof CutShort ? unreadable(`failed to create gzip reader: ${error.message}`) : error
}

function unreadable(problem: string): AppError {
  return new AppError('invalid_argument', `error decompressing request body: ${problem}`)
}
