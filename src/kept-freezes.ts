import type { FreezeStore, KeptFreeze } from './cgroups/freeze/kept-freeze.ts'
import { parseJsonAs } from './lib/parse-json.ts'

type Content = Readonly<Record<string, KeptFreeze>>

/** What is frozen: commands, and the disk. */
export interface KeptFreezes {
  readonly commands: FreezeStore
  readonly disk: FreezeStore
}

/**
 * What is frozen, as a part of the state of the sandbox.
 * @param state of the daemon before this one; undefined: there was none.
 * @param keep is called when there is something else to be kept.
 */
export function createKeptFreezes(state: string | undefined, keep: () => void) {
  const before = state === undefined ? undefined : parseJsonAs(state, hasFreezes)?.freezes
  const freezes = new Map(Object.entries(before ?? {}))
  const storeOf = (what: string): FreezeStore => ({
    before: freezes.get(what),
    write: (freeze) => {
      if (freeze !== undefined) freezes.set(what, freeze)
      else if (!freezes.delete(what)) return
      keep()
    },
  })
  const stores: KeptFreezes = { commands: storeOf('commands'), disk: storeOf('disk') }
  return { stores, content: (): Content => Object.fromEntries(freezes) }
}

/** Daemons that keep no freezes leave none. */
function hasFreezes(value: unknown): value is { readonly freezes: Content } {
  if (typeof value !== 'object' || value === null || !('freezes' in value)) return false
  const { freezes } = value
  return typeof freezes === 'object' && freezes !== null && Object.values(freezes).every(isFreeze)
}

function isFreeze(value: unknown): value is KeptFreeze {
  if (typeof value !== 'object' || value === null || !('until' in value) || !('guestFrozen' in value)) return false
  const { until, guestFrozen } = value
  return (
    typeof until === 'number' && Array.isArray(guestFrozen) && guestFrozen.every((path) => typeof path === 'string')
  )
}
