import { Readable } from 'node:stream'
import { Dicer } from '@fastify/busboy'
import type { Hold } from '../budget/budget.ts'
import { pump, type Sink } from '../lib/pump.ts'
import { raceAbort } from '../lib/race-abort.ts'
import { createTimeSlice } from '../lib/time-slice.ts'

/** Header lines of one part that are read; forms have two or three. */
const MAX_HEADER_PAIRS = 64
/** Bytes of one part's header: a file name of PATH_MAX bytes, escaped three times over, and room to spare. */
const MAX_HEADER_BYTES = 16 * 1024
/** Parts that were parsed but not yet taken: a chunk may hold hundreds of tiny ones. */
const MAX_WAITING_PARTS = 16
/** Bytes of one part that are parsed ahead of their reader. */
const BUFFER_BYTES = 256 * 1024
/** As much as a file is stored of in one piece of work (`UploadTarget.content`). */
const SMALL_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)

/**
 * Parts in one chunk beyond which it is parsed in pieces, with turns of the event loop in between: each takes some 50
 * µs.
 */
const MANY_PARTS = 64
const SMALL_PIECE = 1024

const NO_HEADER = 'a part has no header that ends'

/** One part of a form. */
export interface Part {
  /** Content-Disposition, one character per byte; empty where there is none. */
  readonly disposition: string
  readonly body: Readable
  /** All of the body if it has been parsed already, and has at most 64 KiB; nothing is left of it then. */
  readonly arrived: () => Buffer | undefined
}

type OnPart = (part: Part, signal: AbortSignal) => Promise<void>

/** How a form is received. */
interface MultipartOptions {
  readonly boundary: string
  /**
   * Called for one part after the other; must read the body to its end (or `resume` it), or reject. The signal ends it.
   */
  readonly onPart: OnPart
  readonly signal: AbortSignal
  readonly idleMs: number
  /** Counts what is parsed ahead; when it has no room, nothing is until that was read. The caller releases it. */
  readonly hold: Hold
}

/** A body that is not the form it claims to be. */
export class MalformedForm extends Error {
  constructor(problem: string, options?: ErrorOptions) {
    super(problem, options)
    this.name = 'MalformedForm'
  }
}

/**
 * Reads a multipart body (RFC 2046 5.1) and hands out its parts in order, with back-pressure and in constant memory.
 * There is no limit on sizes or on the number of parts. Rejects with what `onPart` rejected with, with MalformedForm,
 * or as `pump` does.
 */
export async function receiveMultipart(source: Readable, options: MultipartOptions): Promise<void> {
  const parser = new Dicer({
    boundary: options.boundary,
    maxHeaderPairs: MAX_HEADER_PAIRS,
    // The types lack these options, which the parser has. It never holds a part back: where the last part of a chunk is
    // full and ends, it would wait for ever.
    ...({ maxHeaderSize: MAX_HEADER_BYTES, partHwm: Number.MAX_SAFE_INTEGER } as object),
  })
  const failed = new AbortController()
  const fail = (error: unknown) => failed.abort(error)
  const cancel = new AbortController()
  const take = async (part: Part) => {
    // What is stored in one piece of work does not look at a signal.
    for (const { signal } of [failed, cancel]) signal.throwIfAborted()
    await options.onPart(part, cancel.signal)
  }
  const parts = partQueue(take, fail, options.hold)
  // The parser passes over a part whose header has no end.
  let headless = false
  parser.on('part', (raw: Readable) => {
    if (headless) fail(new MalformedForm(NO_HEADER))
    headless = true
    const buffered = parts.buffer(raw)
    raw.on('header', (header: Record<string, string[]>) => {
      headless = false
      parts.add({ disposition: header['content-disposition']?.[0] ?? '', ...buffered })
    })
  })
  parser.on('error', (error: Error) => fail(new MalformedForm(error.message, { cause: error })))
  try {
    await pump(source, parserSink(parser, parts, { boundary: options.boundary, failed: failed.signal }), options)
    if (headless) throw new MalformedForm(NO_HEADER)
  } catch (error) {
    cancel.abort(error)
    await parts.done().catch(() => {})
    throw error
  } finally {
    parser.destroy()
  }
}

interface PartQueue {
  /** What a parsed part's body is read from. */
  readonly buffer: (raw: Readable) => Pick<Part, 'body' | 'arrived'>
  readonly add: (part: Part) => void
  /** Resolves when all parts were taken. */
  readonly done: () => Promise<void>
  /** Set while nothing more should be parsed: too many parts wait, or the body of one is full. */
  readonly full: () => Promise<void> | undefined
}

function partQueue(onPart: (part: Part) => Promise<void>, fail: (error: unknown) => void, hold: Hold): PartQueue {
  let waiting = 0
  let last = Promise.resolve()
  let fullBody: Readable | undefined
  let room = Promise.withResolvers<void>()
  const isFull = () => waiting > MAX_WAITING_PARTS || fullBody !== undefined
  const look = () => {
    if (isFull()) return
    room.resolve()
    room = Promise.withResolvers<void>()
  }
  return {
    buffer: (raw) => {
      const ahead = countAhead(hold)
      const free = () => {
        ahead.keep(body.closed ? 0 : body.readableLength)
        if (fullBody !== body) return
        fullBody = undefined
        look()
      }
      const body: Readable = new Readable({ highWaterMark: BUFFER_BYTES, read: free })
      // An error of the body is one of the parser, too.
      body.on('close', free).on('error', () => {})
      raw.on('error', (error) => body.destroy(error))
      let ended = false
      raw.on('end', () => {
        ended = true
        body.push(null)
      })
      raw.on('data', (chunk: Buffer) => {
        ahead.keep(body.readableLength)
        const fits = ahead.add(chunk.length)
        if (!body.push(chunk) || !fits) fullBody = body
      })
      const read = (): Buffer => body.read() ?? NOTHING
      return { body, arrived: () => (ended && body.readableLength <= SMALL_BYTES ? read() : undefined) }
    },
    add: (part) => {
      waiting++
      last = last.then(async () => {
        await onPart(part)
        waiting--
        look()
      })
      last.catch(fail)
    },
    done: () => last,
    // Not until all are taken: the last one may still need what comes.
    full: () => (isFull() ? room.promise : undefined),
  }
}

/** Counts the bytes of one part that wait for its reader. */
function countAhead(hold: Hold) {
  let counted = 0
  return {
    /** False: there is no room, and they are not counted. */
    add: (bytes: number): boolean => {
      const fits = hold.tryGrow(bytes)
      if (fits) counted += bytes
      return fits
    },
    /** So many wait, at most. */
    keep: (bytes: number) => {
      if (bytes >= counted) return
      hold.shrink(counted - bytes)
      counted = bytes
    },
  }
}

function parserSink(
  parser: Dicer,
  parts: PartQueue,
  { boundary, failed }: { readonly boundary: string; readonly failed: AbortSignal },
): Sink {
  // The parser finishes with the closing boundary, which may come well before the end of the body.
  const finished = Promise.withResolvers<void>()
  parser.on('finish', finished.resolve)
  const slice = createTimeSlice()
  const delimiter = Buffer.from(`--${boundary}`, 'latin1')
  // Takes the piece at once, as it never holds a part back.
  const parse = (piece: Buffer) => {
    parser.write(piece)
    const [full, turn] = [parts.full(), slice.next()]
    return full || turn
      ? raceAbort(
          Promise.all([full, turn]).then(() => {}),
          failed,
        )
      : undefined
  }
  const parseInPieces = async (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; at += SMALL_PIECE) await parse(chunk.subarray(at, at + SMALL_PIECE))
  }
  return {
    write: (chunk) => (hasMany(chunk, delimiter) ? parseInPieces(chunk) : parse(chunk)),
    end: async () => {
      parser.end()
      await raceAbort(finished.promise, failed)
      await raceAbort(parts.done(), failed)
    },
  }
}

/** Whether a chunk has so many delimiters that it takes long to parse. */
function hasMany(chunk: Buffer, delimiter: Buffer): boolean {
  let at = -1
  for (let count = 0; count <= MANY_PARTS; count++) {
    at = chunk.indexOf(delimiter, at + 1)
    if (at < 0) return false
  }
  return true
}
