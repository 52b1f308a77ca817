import { setTimeout as delay } from 'node:timers/promises'
import { Failure, isPassing } from './failure.ts'
import type { Headers, Sandbox } from './sandbox.ts'

/** Which process is meant: its number, or the tag of its start. */
export type Selector = { readonly pid: number } | { readonly tag: string }

/** Output streams of a process, each with how many bytes of it have come. */
type StreamName = 'stdout' | 'stderr' | 'pty'
export type Offsets = Record<StreamName, number>

/** What a process stream says, in order: one start, data, at most one end. */
export type ProcessItem =
  | { readonly kind: 'start'; readonly pid: number }
  /** @property end position behind the bytes; undefined: the daemon does not say. */
  | { readonly kind: 'data'; readonly stream: StreamName; readonly bytes: Buffer; readonly end: number | undefined }
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

/** The first message of a process stream. */
export type StartMessage = Pick<EventMessage, 'event'>

/** Events as JSON (proto/process/process.proto); what has its zero value is left out. */
interface EventMessage {
  readonly event?: {
    readonly start?: { readonly pid?: number; readonly offsets?: Partial<Record<StreamName, string>> }
    readonly data?: Partial<Record<StreamName, string>> & { readonly offset?: string }
    readonly end?: Partial<ProcessEnd>
  }
}

/** Attempts in a row without anything new, and the waits between them. */
const MAX_ATTEMPTS = 5
const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 5_000

/**
 * Follows a process to its end; after a cut it goes on where it was, by offsets. Throws Failure when that does not
 * help.
 */
export async function* processStream(sandbox: Sandbox, beginning: Beginning): AsyncGenerator<ProcessItem, void> {
  let pid: number | undefined
  let offsets: Offsets | undefined
  let failures = 0
  for (;;) {
    const repeat = { message: { process: { pid }, resumeFrom: jsonOf(offsets) }, headers: {}, method: 'Connect' }
    const { method, message, headers } = pid === undefined ? beginning : repeat
    try {
      for await (const { event = {} } of sandbox.stream<EventMessage>(`process.Process/${method}`, message, headers)) {
        failures = 0
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
    } catch (error) {
      const goesOn = pid === undefined ? beginning.repeatable : offsets !== undefined
      failures += 1
      if (!isPassing(error) || !goesOn || failures > MAX_ATTEMPTS) throw error
      await delay(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)))
    }
  }
}

/** The selector of a word of the command line: digits are a pid, everything else a tag. */
export function selectorOf(word: string): Selector {
  return /^\d{1,9}$/.test(word) ? { pid: Number(word) } : { tag: word }
}

/** Positions as JSON has them. */
export function jsonOf(offsets: Offsets | undefined): Record<StreamName, string> | undefined {
  if (offsets === undefined) return undefined
  return { stdout: String(offsets.stdout), stderr: String(offsets.stderr), pty: String(offsets.pty) }
}

/** Positions of JSON, in which zeros are left out. */
export function offsetsOf({ stdout = '0', stderr = '0', pty = '0' }: Partial<Record<StreamName, string>>): Offsets {
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) }
}

/** Counts what came in `offsets`. */
function dataOf(
  { stdout, stderr, pty, offset }: NonNullable<NonNullable<EventMessage['event']>['data']>,
  offsets: Offsets | undefined,
): ProcessItem {
  const stream = stdout !== undefined ? 'stdout' : stderr !== undefined ? 'stderr' : 'pty'
  const bytes = Buffer.from(stdout ?? stderr ?? pty ?? '', 'base64')
  const end = offsets === undefined ? undefined : Number(offset ?? '0') + bytes.length
  if (offsets !== undefined && end !== undefined) offsets[stream] = end
  return { kind: 'data', stream, bytes, end }
}

function endOf({ exitCode = 0, exited = false, status = '', error }: Partial<ProcessEnd>): ProcessItem {
  return { kind: 'end', exitCode, exited, status, error }
}
