import { call, open, type Stream } from '../_util/rpc.ts'
import type { Random } from '../hostile/random.ts'

/** Where traffic runs. */
export interface Field {
  /** Of the daemon, on the port that every SDK knows. */
  readonly url: string
  /** A directory that all users may write; each run of a kind of traffic removes what it made there. */
  readonly dir: string
  /** Port of `startEcho`. */
  readonly echoPort: number
  readonly random: Random
}

/** One kind of traffic. */
export interface Traffic {
  readonly name: string
  /** How often it is chosen; default 1. */
  readonly weight?: number
  /** Its results are the same when the daemon crashes or is upgraded meanwhile. */
  readonly survives?: true
  /**
   * Runs it once and checks its results; rejects when one is wrong.
   * @param id a name that no other run has: for files, tags and keys
   */
  run(field: Field, id: string): Promise<void>
}

/** Throws unless the condition holds. */
export function check(condition: boolean, what: string, seen?: unknown): asserts condition {
  if (!condition) throw new Error(`${what}: ${JSON.stringify(seen)?.slice(0, 1000)}`)
}

/** A unary call that must succeed; the caller names the type of its answer as JSON. */
export async function ok<T>(field: Field, method: string, message: object): Promise<T> {
  const { status, body } = await call(field.url, method, message)
  check(status === 200, `${method} ${status}`, body)
  return body as T
}

/** The messages of a server stream that must succeed, to its end. */
export async function all<T>(field: Field, method: string, message: object): Promise<T[]> {
  const { messages, end } = await (await open<T>(field.url, method, message)).rest()
  check(end.error === undefined, method, end)
  return messages
}

/** Reads a stream until a message is what is looked for. */
export async function until<T>(stream: Stream<T>, wanted: (message: T) => boolean): Promise<T> {
  for (;;) {
    const message = await stream.next()
    if (wanted(message)) return message
  }
}
