import type { Invocation } from './command.ts'
import { exitCodeOf, FAILED } from './exit-code.ts'
import { type Beginning, type Offsets, type ProcessItem, processStream } from './process-stream.ts'

/** What is done beside the output of a process. */
interface SessionOptions {
  /** Called once, when it is known which process it is. */
  readonly onStart: (pid: number) => void
  /** Ends the session, and leaves the process alone. */
  readonly left?: AbortSignal
  /** Ends the session when the output has come as far as this. */
  readonly until?: Offsets | undefined
}

/**
 * Shows the output of a process until its end, and returns the exit code that stands for it; 0 if the session was left.
 */
export async function showProcess(
  { sandbox, json, write }: Pick<Invocation, 'sandbox' | 'json' | 'write'>,
  beginning: Beginning,
  { onStart, left, until }: SessionOptions,
): Promise<number> {
  const items = processStream(sandbox, beginning)
  const gone = new Promise<'left'>((resolve) => left?.addEventListener('abort', () => resolve('left'), { once: true }))
  const seen: Offsets = { stdout: 0, stderr: 0, pty: 0 }
  for (;;) {
    const next = await (left === undefined ? items.next() : Promise.race([items.next(), gone]))
    if (next === 'left') return 0
    if (next.done === true) return FAILED
    const item = next.value
    if (item.kind === 'start') onStart(item.pid)
    if (json) await write(`${JSON.stringify(toJson(item))}\n`)
    else if (item.kind === 'data') await (item.stream === 'stderr' ? writeError(item.bytes) : write(item.bytes))
    if (item.kind === 'data' && item.end !== undefined) seen[item.stream] = item.end
    if (item.kind !== 'end' && until !== undefined && reached(seen, until)) return items.return().then(() => 0)
    if (item.kind !== 'end') continue
    if (!json && !item.exited) await writeError(`envd ctl: ${item.error ?? item.status}\n`)
    return exitCodeOf(item)
  }
}

function reached(seen: Offsets, until: Offsets): boolean {
  return seen.stdout >= until.stdout && seen.stderr >= until.stderr && seen.pty >= until.pty
}

/** Output as base64: bytes need not be text. */
function toJson(item: ProcessItem): unknown {
  if (item.kind === 'start') return { start: { pid: item.pid } }
  if (item.kind === 'data') return { data: { [item.stream]: item.bytes.toString('base64') } }
  const { kind, ...end } = item
  return { [kind]: end }
}

function writeError(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => process.stderr.write(text, () => resolve()))
}
