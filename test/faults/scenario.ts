import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { type Headers, sendWhole } from '../_util/http.ts'
import { call, open } from '../_util/rpc.ts'
import type { Fault } from './table.ts'

/** What a scenario works with. */
export interface Place {
  readonly url: string
  /** A directory of its own for each run, that every user may write. */
  readonly dir: string
  /** Ends when the run has taken too long. */
  readonly signal: AbortSignal
  /** The call that is made to fail. */
  readonly fault?: Fault | undefined
}

/** What a client was told: `ok`, a code of Connect or a status of HTTP, and the words. */
export interface Outcome {
  readonly code: string
  readonly text: string
}

/** Something that a client does, in which every call of the daemon is made to fail. */
export interface Scenario {
  readonly name: string
  /** The calls to fail are about what has one of these texts in its path; default: the directory. */
  readonly matches?: readonly string[]
  /** No other calls than these. */
  readonly calls?: readonly string[]
  /** Which errors a call can have there. */
  readonly possible?: (fault: Fault) => boolean
  prepare?(place: Place): Promise<void> | void
  /** Rejects with nothing but the end of the connection. */
  run(place: Place): Promise<Outcome>
  /** What is wrong after it, beside what is always looked at. */
  check?(place: Place, outcome: Outcome): Promise<readonly string[]> | readonly string[]
  /** After checks. */
  tidy?(place: Place): Promise<unknown> | unknown
  /** Codes that the contract has for failures of any kind. */
  readonly contract?: readonly string[]
}

export const OK: Outcome = { code: 'ok', text: '' }

/** A request, and what its client learns. */
export async function request(
  { url, signal }: Place,
  target: string,
  options: { method?: string; headers?: Headers; body?: Uint8Array | string } = {},
): Promise<Outcome & { readonly body: Buffer; readonly headers: Headers }> {
  const { status, text, body, headers } = await sendWhole(url + target, { ...options, signal })
  return { code: status < 400 ? 'ok' : String(status), text: status < 400 ? '' : text, body, headers }
}

/** A unary call, as `request`. */
export async function unary({ url, signal }: Place, method: string, message: unknown, headers: Headers = {}) {
  const { status, body } = await call(url, method, message, { signal, headers })
  const answer: Record<string, unknown> = Object(body)
  const code = status === 200 ? 'ok' : String(answer['code'] ?? status)
  return { code, text: code === 'ok' ? '' : String(answer['message']), answer }
}

/** A streaming call to its end. */
export async function streamed({ url, signal }: Place, method: string, message: unknown, headers: Headers = {}) {
  const stream = await open<Record<string, never>>(url, method, message, { signal, headers })
  const { messages, end } = await stream.rest()
  return { code: end.error?.code ?? 'ok', text: end.error?.message ?? '', messages }
}

/** Every path below a directory with the content of files, sorted. */
export function tree(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const name = relative(dir, path)
      return entry.isFile() ? `${name}: ${readFileSync(path).toString('latin1').slice(0, 64)}` : name
    })
    .sort()
}

/** A problem unless what is below the directory is one of these, but for temporary files that cannot be removed. */
export function isOneOf({ dir, fault }: Place, ...allowed: readonly (readonly string[])[]): string[] {
  const found = tree(dir).filter((line) => !(isTemporary(line) && staysBehind(fault)))
  const same = (one: readonly string[]) => one.join('\n') === found.join('\n')
  return allowed.some(same) ? [] : [`left behind: ${JSON.stringify(found)}`]
}

/** A name that the daemon chose. */
function isTemporary(line: string): boolean {
  return line.includes('.envd-') || line.includes('.e2b-compose.')
}

/** Problems for what is left that only the daemon knows of. */
export function noTemporary(place: Place): string[] {
  const left = tree(place.dir).filter(isTemporary)
  return left.length === 0 || staysBehind(place.fault) ? [] : [`left behind: ${JSON.stringify(left)}`]
}

/** Nothing can be removed while that fails. */
function staysBehind(fault: Fault | undefined): boolean {
  if (fault === undefined) return false
  return /unlink|rmdir/.test(fault.call) || (fault.lasting && /openat|opendir|readdir|fstat/.test(fault.call))
}

/** As a text to match: the calls that are about no path, as pipe2(2) and clone(2). */
export const NO_PATH = '\u0001'
