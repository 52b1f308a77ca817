import type { KillReason } from './end-facts.ts'
import type { End } from './exit-status.ts'
import { encodeAccount } from './process-record.ts'

/** A SIGKILL that a process and its session, or only the leader, have to get. */
export interface KeptKill {
  /** When (`monotonicNow`): if that is past it is under way, and may not have reached all. */
  readonly at: number
  readonly scope: 'session' | 'leader'
  /** See `RunningProcess.signal`. */
  readonly reason?: KillReason | undefined
}

/** What the next daemon must know of a process that its record does not say: how it ended, and what it has to get. */
export class KeptAccount {
  readonly #write: (account: Buffer | undefined) => void
  readonly #kills = new Set<KeptKill>()
  #end: End | undefined
  #kept = ''

  /** @param write keeps an account in the place of the one before; undefined: there is nothing to be said. */
  constructor(write: (account: Buffer | undefined) => void) {
    this.#write = write
  }

  set end(end: End) {
    this.#end = end
    this.#keep()
  }

  /** There are kills to come or under way. */
  get killing(): boolean {
    return this.#kills.size > 0
  }

  /** Keeps a kill until the function is called that this returns. */
  add(kill: KeptKill): () => void {
    this.#kills.add(kill)
    this.#keep()
    return () => {
      this.#kills.delete(kill)
      this.#keep()
    }
  }

  #keep(): void {
    const kills = [...this.#kills]
    // Of those of a scope the first leaves nothing to the others.
    const first = (['session', 'leader'] as const).flatMap((scope) =>
      kills
        .filter((kill) => kill.scope === scope)
        .sort((one, other) => one.at - other.at)
        .slice(0, 1),
    )
    const text = this.#end === undefined && first.length === 0 ? '' : encodeAccount({ end: this.#end, kills: first })
    if (text === this.#kept) return
    this.#kept = text
    this.#write(text === '' ? undefined : Buffer.from(text))
  }
}
