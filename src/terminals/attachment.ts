import { freeNow } from '../budget/memory.ts'
import type { StreamFrames } from '../budget/unread-frames.ts'
import type { StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import type { End } from '../process/exit-status.ts'
import type { Chunk } from '../process/output-log.ts'
import type { OutputReader } from '../process/output-reader.ts'
import type { TerminalSize } from '../process/process.ts'
import type { AttachedClient } from './clients.ts'
import type { Snapshot } from './screen-feed.ts'
import type { AttachOptions, LiveTerminal, Terminals } from './terminals.ts'

/** One item of the stream of a client that is attached. */
export type TerminalItem =
  | { readonly kind: 'attached'; readonly client: number; readonly terminal: LiveTerminal; readonly size: TerminalSize }
  | { readonly kind: 'screen'; readonly part: Uint8Array; readonly more: boolean; readonly snapshot: Snapshot }
  | { readonly kind: 'output'; readonly bytes: Uint8Array; readonly offset: number }
  | { readonly kind: 'resized'; readonly size: TerminalSize }
  | { readonly kind: 'end'; readonly end: End }
  | { readonly kind: 'keepalive' }

/** How a client attaches, and where it goes on. */
export interface Wish extends AttachOptions {
  /** Offset of the output that it wants next; undefined: the screen. */
  readonly resumeFrom: number | undefined
}

/** An attachment that was opened: what failed before is the answer. */
export interface Attachment {
  readonly items: AsyncGenerator<TerminalItem, void>
  /** Aborts when the stream must end although its client does not read. */
  readonly ended: AbortSignal
  readonly pid: number
}

/**
 * Attaches a client: its size takes effect, then the screen is taken, and a reader is opened at exactly the byte where
 * the screen ends. What its client has yet to take of the screen counts as frames do (`UnreadFrames`). Rejects as
 * `Terminals.use`, and with the caller's reason.
 */
export async function attach(
  terminals: Terminals,
  { process, wish, user }: { process: LiveTerminal['process']; wish: Wish; user: string },
  caller: StreamCaller,
): Promise<Attachment> {
  const { terminal, leave } = await terminals.use(process, user)
  const { client, leave: detach } = terminals.attach(terminal, wish)
  const cut = new AbortController()
  const owner = { connection: caller.connection, user }
  // The stream itself is counted where it is answered.
  const unread = terminals.unread.open(owner, { evict: () => cut.abort(tooSlow()), bytes: 0 })
  const over = () => {
    unread.release()
    detach()
    leave()
  }
  try {
    const signal = AbortSignal.any([caller.signal, cut.signal])
    const { snapshot, reader } = await begin(terminal, { resumeFrom: wish.resumeFrom, unread, signal })
    reader.signal.addEventListener('abort', over, { once: true })
    if (reader.signal.aborted) over()
    const items = follow(terminal, { client, snapshot, reader, unread }, caller.keepalive)
    return { items, ended: reader.signal, pid: process.pid }
  } catch (error) {
    over()
    throw error
  }
}

function tooSlow(): AppError {
  return new AppError('budget_spent', 'the client took nothing of the screen while others needed the memory')
}

interface Beginning {
  readonly resumeFrom: number | undefined
  readonly unread: StreamFrames
  readonly signal: AbortSignal
}

async function begin(terminal: LiveTerminal, { resumeFrom, unread, signal }: Beginning) {
  const { output } = terminal.process
  const readerAt = (pty: number) => output.reader(signal, { stdout: 0, stderr: 0, pty })
  if (resumeFrom !== undefined) {
    try {
      return { snapshot: undefined, reader: readerAt(resumeFrom) }
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'out_of_range') throw error
    }
  }
  const snapshot = await terminal.feed.snapshot(signal, unread.add)
  return { snapshot, reader: readerAt(snapshot.offset) }
}

interface Following {
  readonly client: AttachedClient
  readonly snapshot: Snapshot | undefined
  readonly reader: OutputReader
  readonly unread: StreamFrames
}

async function* follow(
  terminal: LiveTerminal,
  { client, snapshot, reader, unread }: Following,
  keepalive: number,
): AsyncGenerator<TerminalItem, void> {
  try {
    yield { kind: 'attached', client: client.id, terminal, size: snapshot?.size ?? terminal.process.size }
    if (snapshot !== undefined) yield* screenItems(snapshot, { reader, unread })
    for (;;) {
      const state = await reader.readable(keepalive)
      if (state === 'end') break
      if (state === 'quiet') {
        yield* resizesBefore(client, Number.POSITIVE_INFINITY)
        yield { kind: 'keepalive' }
      } else {
        const chunk = reader.take(copied)
        if (chunk === undefined) continue
        yield* resizesBefore(client, chunk.offset)
        yield { kind: 'output', ...chunk }
        // It is in a message by now, which is a copy.
        freeNow(chunk.bytes)
      }
    }
    yield { kind: 'end', end: await terminal.process.ended }
  } finally {
    reader.close()
  }
}

function copied({ bytes, offset }: Chunk) {
  return { bytes: Uint8Array.from(bytes), offset }
}

function* resizesBefore({ resizes }: AttachedClient, offset: number): Generator<TerminalItem, void> {
  for (let first = resizes[0]; first !== undefined && first.offset <= offset; first = resizes[0]) {
    resizes.shift()
    yield { kind: 'resized', size: first.size }
  }
}

/** Takes the parts out, so that a stream does not keep the screen that it began with. */
async function* screenItems(
  snapshot: Snapshot,
  { reader, unread }: Pick<Following, 'reader' | 'unread'>,
): AsyncGenerator<TerminalItem, void> {
  const { parts } = snapshot
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    yield { kind: 'screen', part, more: parts.length > 0, snapshot }
    unread.taken(part)
    freeNow(part)
    reader.signal.throwIfAborted()
  }
}
