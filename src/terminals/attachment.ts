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
  | { readonly kind: 'screen'; readonly text: string; readonly more: boolean; readonly snapshot: Snapshot }
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
 * the screen ends. Rejects as `Terminals.use`, and with the caller's reason.
 */
export async function attach(
  terminals: Terminals,
  { process, wish, user }: { process: LiveTerminal['process']; wish: Wish; user: string },
  caller: StreamCaller,
): Promise<Attachment> {
  const { terminal, leave } = await terminals.use(process, user)
  const { client, leave: detach } = terminals.attach(terminal, wish)
  const over = () => {
    detach()
    leave()
  }
  try {
    const { snapshot, reader } = await begin(terminal, wish.resumeFrom, caller.signal)
    reader.signal.addEventListener('abort', over, { once: true })
    if (reader.signal.aborted) over()
    const items = follow(terminal, { client, snapshot, reader }, caller.keepalive)
    return { items, ended: reader.signal, pid: process.pid }
  } catch (error) {
    over()
    throw error
  }
}

async function begin(terminal: LiveTerminal, resumeFrom: number | undefined, signal: AbortSignal) {
  const { output } = terminal.process
  const readerAt = (pty: number) => output.reader(signal, { stdout: 0, stderr: 0, pty })
  if (resumeFrom !== undefined) {
    try {
      return { snapshot: undefined, reader: readerAt(resumeFrom) }
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'out_of_range') throw error
    }
  }
  const snapshot = await terminal.feed.snapshot(signal)
  return { snapshot, reader: readerAt(snapshot.offset) }
}

interface Following {
  readonly client: AttachedClient
  readonly snapshot: Snapshot | undefined
  readonly reader: OutputReader
}

async function* follow(
  terminal: LiveTerminal,
  { client, snapshot, reader }: Following,
  keepalive: number,
): AsyncGenerator<TerminalItem, void> {
  try {
    yield { kind: 'attached', client: client.id, terminal, size: snapshot?.size ?? terminal.process.size }
    if (snapshot !== undefined) yield* screenItems(snapshot)
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
function* screenItems(snapshot: Snapshot): Generator<TerminalItem, void> {
  const { parts } = snapshot
  for (let text = parts.shift(); text !== undefined; text = parts.shift())
    yield { kind: 'screen', text, more: parts.length > 0, snapshot }
}
