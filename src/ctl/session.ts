import type { Invocation } from './command.ts'
import { exitCodeOf, FAILED } from './exit-code.ts'
import { type Beginning, type ProcessItem, processStream } from './process-stream.ts'

type Target = Pick<Invocation, 'sandbox' | 'json' | 'write'>

/** Starts a process, and shows its pid alone. Throws Failure. */
export async function startDetached({ sandbox, json, write }: Target, beginning: Beginning): Promise<number> {
  for await (const item of processStream(sandbox, beginning)) {
    if (item.kind !== 'start') continue
    await write(json ? `${JSON.stringify(toJson(item))}\n` : `${item.pid}\n`)
    return 0
  }
  return FAILED
}

/**
 * Shows the output of a process until its end, and returns the exit code that passes that on. Throws Failure.
 * @param onStart is called once, when it is known which process it is.
 */
export async function showProcess(
  { sandbox, json, write }: Target,
  beginning: Beginning,
  onStart: (pid: number) => void,
): Promise<number> {
  for await (const item of processStream(sandbox, beginning)) {
    if (item.kind === 'start') onStart(item.pid)
    if (json) await write(`${JSON.stringify(toJson(item))}\n`)
    else if (item.kind === 'data') await (item.stream === 'stderr' ? writeError(item.bytes) : write(item.bytes))
    if (item.kind !== 'end') continue
    if (!json && !item.exited) await writeError(`envd ctl: ${item.error ?? item.status}\n`)
    return exitCodeOf(item)
  }
  return FAILED
}

/** Output as base64: bytes need not be text. */
function toJson(item: ProcessItem): unknown {
  if (item.kind === 'start') return { start: { pid: item.pid } }
  if (item.kind === 'data') return { data: { [item.stream]: item.bytes.toString('base64') } }
  const { kind, ...end } = item
  return { [kind]: end }
}

/** Writes to standard error. Resolves when it is written. */
export function writeError(text: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => process.stderr.write(text, () => resolve()))
}
