import { parseJsonAs } from '../lib/parse-json.ts'
import { isReadable, STATE_VERSION } from '../version.ts'
import type { End } from './exit-status.ts'
import type { KeptKill } from './kept-account.ts'
import type { ProcessConfig, TerminalSize } from './process.ts'

/** A run of a service, as its supervisor knows it again. */
export interface ServiceRun {
  readonly service: string
  /** See `Command.marker`. */
  readonly marker: string
  /** What it was started with: another value is another command. */
  readonly fingerprint: string
}

/** What the next daemon must know of a process beside its descriptors and positions. */
export interface ProcessRecord {
  readonly config: ProcessConfig
  readonly tag: string | undefined
  /** Its `Idempotency-Key`, and what that stands for (`startDigest`). */
  readonly key: string | undefined
  readonly digest: string | undefined
  readonly replay: boolean
  readonly routine: boolean
  /** Whose budget it counts in. */
  readonly user: string
  /** Where it was started. */
  readonly cwd: string
  /** Size of its terminal when it was opened; undefined: it has none. */
  readonly size: TerminalSize | undefined
  readonly outputMax: number | undefined
  /** Name of the cgroup of this command alone; absent: it has none, or an older daemon has started it. */
  readonly group?: string | undefined
  /** The run of a service that it belongs to; absent: it is no service. */
  readonly run?: ServiceRun | undefined
  /** When it was started and when it is killed (`monotonicNow`). */
  readonly started: number
  readonly deadline: number | undefined
}

export function encodeRecord(record: ProcessRecord): Buffer {
  return Buffer.from(JSON.stringify({ version: STATE_VERSION, ...record }))
}

/** Reads what `encodeRecord` has made. Undefined: it is not understood. */
export function readRecord(bytes: Buffer): ProcessRecord | undefined {
  return parseJsonAs(bytes.toString(), isRecord)
}

/** How a process ended, undefined: that was not reported, and what it has to get of each scope. */
interface Account {
  readonly end: End | undefined
  readonly kills: readonly KeptKill[]
}

/** Leaves out what there is not, as older daemons do. */
export function encodeAccount({ end, kills }: Account): string {
  return JSON.stringify({ version: STATE_VERSION, end, kills: kills.length === 0 ? undefined : kills })
}

/** What is not understood says nothing. */
export function readAccount(bytes: Uint8Array | undefined): Account {
  const nothing: Account = { end: undefined, kills: [] }
  try {
    const value: unknown = bytes === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString())
    if (!isKnown(value)) return nothing
    const { end, kills } = { ...nothing, ...(value as Partial<Account>) }
    return { end, kills }
  } catch {
    return nothing
  }
}

/** Only daemons write records, so their version says what is in them. */
function isRecord(value: unknown): value is ProcessRecord {
  return isKnown(value)
}

function isKnown(value: unknown): value is object {
  return typeof value === 'object' && value !== null && 'version' in value && isReadable(value.version)
}
