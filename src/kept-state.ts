import type { Keeper } from './keeper/keeper.ts'
import { DAEMON_KEY } from './keeper/keys.ts'
import { errorFields } from './lib/error-fields.ts'
import type { Log } from './log.ts'
import { close } from './native/index.ts'
import { sealedMemory } from './native/packets.ts'

interface Parts {
  readonly keeper: Keeper
  /** What is to be kept: a text, and sockets that stay the caller's; undefined: nothing is at the moment. */
  readonly content: () => { readonly text: string; readonly sockets: readonly number[] } | undefined
  readonly log: Log
}

/**
 * Refusals in `REFUSED_MS` after which the state counts as one that cannot be kept. More than one, as those of several
 * changes may be under way when the first is answered.
 */
const MAX_REFUSALS = 10
const REFUSED_MS = 1_000

/**
 * Returns what keeps the state of the sandbox as it is at the moment, in the place of what was kept before. When it
 * cannot be kept the daemon is not started again: the next one would go on with another access token.
 */
export function stateKeeper({ keeper, content, log }: Parts): () => void {
  let refusals = 0
  const keep = () => {
    const now = content()
    if (now === undefined) return
    try {
      keeper.onRefused(DAEMON_KEY, refused)
      put(keeper, now)
    } catch (error) {
      giveUp(errorFields(error))
    }
  }
  const refused = () => {
    if (refusals++ === 0) setTimeout(() => (refusals = 0), REFUSED_MS).unref()
    if (refusals >= MAX_REFUSALS) {
      giveUp({ reason: 'the keeper refuses it' })
      return
    }
    // Its descriptors make room for the new ones.
    keeper.drop(DAEMON_KEY)
    keep()
  }
  const giveUp = (why: object) => {
    log.error({ ...why }, 'the state cannot be kept: the daemon will not be started again')
    keeper.leave()
  }
  return keep
}

/** Throws as `sealedMemory` and `Keeper.put`. */
function put(keeper: Keeper, { text, sockets }: { readonly text: string; readonly sockets: readonly number[] }): void {
  const memory = sealedMemory(Buffer.from(text))
  try {
    keeper.put(DAEMON_KEY, 0, [memory, ...sockets])
  } finally {
    close(memory)
  }
}
