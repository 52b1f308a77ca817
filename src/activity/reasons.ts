import type { OpenedStream } from '../calls/open-streams.ts'

/** What shows that the sandbox is in use: as in `activity.v1.Kind`. */
const KINDS = ['cpu', 'output', 'input', 'stream', 'port', 'upload', 'download', 'call'] as const

/** One of `KINDS`. */
export type Kind = (typeof KINDS)[number]

/** A command as a reason names it. */
export interface NamedCommand {
  readonly pid: number
  readonly tag: string | undefined
  /** File name of its program. */
  readonly command: string
}

/** Why the sandbox is busy. Times are on the clock of performance.now(). */
export interface Reason {
  readonly kind: Kind
  /** Now, for what lasts. */
  readonly lastSign: number
  /** For what lasts: since when. */
  readonly since?: number
  readonly process?: NamedCommand
  readonly stream?: OpenedStream
  readonly port?: number
  /** Connections of the port, or transfers. */
  readonly count?: number
}

/** Reasons that are named; of the rest only the number is reported. */
const MAX_REASONS = 100

/**
 * How long a sign is a reason, in milliseconds: longer than a pause between two lines of a build, and far shorter than
 * one would pay for.
 */
export const WINDOW_MS = 10_000

/** Gathers the reasons of one moment, and the last sign of each kind. */
export class Reasons {
  readonly now = performance.now()
  readonly list: Reason[] = []
  /** Those that there was no room for. */
  more = 0
  /** When the oldest of those that last began. */
  since = this.now
  readonly #last: Map<Kind, number>

  /** @param last the last sign of each kind so far, which is brought up to date. */
  constructor(last: Map<Kind, number>) {
    this.#last = last
  }

  /** Notes a sign, which is a reason while it is young enough and `reason` names it. */
  sign(kind: Kind, at: number | undefined, reason?: () => Omit<Reason, 'kind' | 'lastSign'>): void {
    if (at === undefined) return
    if (at > (this.#last.get(kind) ?? Number.NEGATIVE_INFINITY)) this.#last.set(kind, at)
    if (reason === undefined || this.now - at > WINDOW_MS) return
    if (this.list.length >= MAX_REASONS) {
      this.more++
      return
    }
    const named = { kind, lastSign: at, ...reason() }
    this.since = Math.min(this.since, named.since ?? at)
    this.list.push(named)
  }

  /** Makes reasons of young signs whose source is gone: a command that has ended, a stream that was closed. */
  addUnnamed(): void {
    const named = new Set(this.list.map(({ kind }) => kind))
    for (const [kind, at] of this.#last) if (!named.has(kind)) this.sign(kind, at, () => ({}))
  }
}
