import { Failure } from './failure.ts'
import { reopened } from './reopened.ts'
import type { Headers, Sandbox } from './sandbox.ts'

/** The output streams of a process. */
export type StreamName = 'stdout' | 'stderr' | 'pty'

/** How many bytes of each stream have come. */
export type Offsets = Record<StreamName, number>

/** The same as JSON has it: numbers as text, zeros left out. */
export type OffsetsJson = Partial<Record<StreamName, string>>

/** What a process stream says, in order: one start, data, at most one end. */
export type ProcessItem =
  | { readonly kind: 'start'; readonly pid: number }
  | { readonly kind: 'data'; readonly stream: StreamName; readonly bytes: Buffer }
  | ({ readonly kind: 'end' } & ProcessEnd)

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number
  readonly exited: boolean
  readonly status: string
  readonly error: string | undefined
}

/** The call that a stream begins with. */
export interface Beginning {
  readonly method: 'Start' | 'Connect'
  readonly message: unknown
  readonly headers?: Headers
  /** It may be made again though the daemon may have done it: it has a key, or starts nothing. */
  readonly repeatable: boolean
}

/** Events as JSON (proto/process/process.proto); what has its zero value is left out. */
interface EventMessage {
  readonly event?: {
    readonly start?: { readonly pid?: number; readonly offsets?: OffsetsJson }
    readonly data?: OffsetsJson & { readonly offset?: string }
    readonly end?: Partial<ProcessEnd>
  }
}

/**
 * Follows a process to its end; after a cut it goes on where it was, by offsets. Throws Failure when that does
 * not help.
 */
export async function* processStream(sandbox: Sandbox, beginning: Beginning): AsyncGenerator<ProcessItem, void> {
  let pid: number | undefined
  let offsets: Offsets | undefined
  const open = () => {
    const repeat = { message: { process: { pid }, resumeFrom: jsonOf(offsets) }, headers: {}, method: 'Connect' }
    const { method, message, headers } = pid === undefined ? beginning : repeat
    return sandbox.stream<EventMessage>(`process.Process/${method}`, message, headers)
  }
  const mayReopen = () => (pid === undefined ? beginning.repeatable : offsets !== undefined)
  for await (const { event = {} } of reopened(open, { mayReopen })) {
    const { start, data, end } = event
    if (start !== undefined && pid === undefined) {
      pid = start.pid ?? 0
      offsets = start.offsets === undefined ? undefined : offsetsOf(start.offsets)
      yield { kind: 'start', pid }
    }
    if (data !== undefined) yield dataOf(data, offsets)
    if (end !== undefined) return yield endOf(end)
  }
  throw new Failure('lost', 'the stream ended without an end')
}

/** Positions as JSON has them. */
export function jsonOf(offsets: Offsets | undefined): Record<StreamName, string> | undefined {
  if (offsets === undefined) return undefined
  return { stdout: String(offsets.stdout), stderr: String(offsets.stderr), pty: String(offsets.pty) }
}

/** Positions of JSON, in which zeros are left out. */
export function offsetsOf({ stdout = '0', stderr = '0', pty = '0' }: OffsetsJson): Offsets {
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) }
}

/** Counts what came in `offsets`. */
function dataOf(
  { stdout, stderr, pty, offset }: NonNullable<NonNullable<EventMessage['event']>['data']>,
  offsets: Offsets | undefined,
): ProcessItem {
  const stream = stdout !== undefined ? 'stdout' : stderr !== undefined ? 'stderr' : 'pty'
  const bytes = Buffer.from(stdout ?? stderr ?? pty ?? '', 'base64')
  if (offsets !== undefined) offsets[stream] = Number(offset ?? '0') + bytes.length
  return { kind: 'data', stream, bytes }
}

function endOf({ exitCode = 0, exited = false, status = '', error }: Partial<ProcessEnd>): ProcessItem {
  return { kind: 'end', exitCode, exited, status, error }
}
