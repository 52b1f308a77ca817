import type { ProcessEnd } from './process-stream.ts'
import { reopened } from './reopened.ts'
import type { Sandbox } from './sandbox.ts'

/** A terminal (`terminals.v1.Terminal`). */
type TerminalSelector = { readonly pid: number } | { readonly name: string }

interface Size {
  readonly columns: number
  readonly rows: number
}

/** A message of `terminals.v1.Terminals/Attach` as JSON; what has its zero value is left out. */
export interface TerminalMessage {
  readonly attached?: { readonly pid: number; readonly name?: string; readonly client: number; readonly size?: Size }
  readonly screen?: { readonly data?: string; readonly more?: boolean; readonly offset?: string }
  readonly output?: { readonly data?: string; readonly offset?: string }
  readonly resized?: Size
  readonly end?: Partial<ProcessEnd>
  readonly keepalive?: unknown
}

/** The call that a stream begins with. */
interface TerminalCall {
  readonly method: 'Open' | 'Attach'
  readonly message: object
  /** Window, and what else an attachment wants, at this moment. */
  readonly wish: () => object
}

/** Who lost the way to a terminal waits for it: more than a minute. */
const ATTEMPTS = 20

/**
 * The messages of a terminal to its end. After a cut the client attaches again and goes on with the output that it
 * has not had; if that is not kept any more, a new screen comes. Throws Failure.
 */
export async function* terminalStream(sandbox: Sandbox, call: TerminalCall): AsyncGenerator<TerminalMessage, void> {
  let pid: number | undefined
  let next: number | undefined
  const open = () => {
    const resume = next === undefined ? {} : { resumeFrom: String(next) }
    const [method, message] =
      pid === undefined ? [call.method, call.message] : ['Attach', { terminal: { pid }, ...resume }]
    return sandbox.stream<TerminalMessage>(`terminals.v1.Terminals/${method}`, { ...message, ...call.wish() })
  }
  for await (const message of reopened(open, { attempts: ATTEMPTS })) {
    const { attached, screen, output } = message
    pid ??= attached?.pid
    // A screen that is cut off comes anew.
    if (screen !== undefined) next = screen.more === true ? undefined : Number(screen.offset ?? '0')
    if (output !== undefined) next = Number(output.offset ?? '0') + Buffer.byteLength(output.data ?? '', 'base64')
    if (message.keepalive === undefined) yield message
    if (message.end !== undefined) return
  }
}

/** The terminal that a word of the command line means: digits are a pid. */
export function terminalOf(word = ''): TerminalSelector {
  return /^\d{1,9}$/.test(word) ? { pid: Number(word) } : { name: word }
}
