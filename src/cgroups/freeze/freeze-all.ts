import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { COMMAND_GROUPS } from '../properties.ts'
import { GROUP_LANES, isGone, isSetToFreeze, setFreeze } from './group-files.ts'
import type { Plan } from './plan.ts'
import type { StartGate } from './start-gate.ts'

/** Results of writing 1 to `cgroup.freeze`. Paths are from the root. */
export interface FreezeWrites {
  /** Written. */
  readonly written: string[]
  /** Could not be written, or skipped because the daemon is in it. */
  readonly failed: string[]
  /** Groups of commands that do not exist. */
  readonly missing: string[]
  /** Others that were removed since the plan was made. */
  readonly vanished: number
  /** Others that the guest has frozen since then; left to it (contract N35). */
  readonly guestFrozen: string[]
  /** The errno of the first failure. */
  readonly errno: string | undefined
}

interface FreezeAllOptions {
  readonly root: string
  /** From the root to the daemon's own cgroup; empty if that is unknown. */
  readonly chain: ReadonlySet<string>
  /** Groups to freeze besides those of commands. */
  readonly plan: Plan | undefined
  /** Shut while the groups of commands are written. */
  readonly gate: StartGate | undefined
  /** Written by a freeze before that was not ended yet. */
  readonly isOurs: (group: string) => boolean
}

/**
 * Freezes the groups of commands one after the other (contract H3), then what is planned (contract H4). Goes on after a
 * failure; never rejects. Undefined, with nothing frozen, if the gate was never empty.
 */
export async function freezeAll({
  root,
  chain,
  plan,
  gate,
  isOurs,
}: FreezeAllOptions): Promise<FreezeWrites | undefined> {
  const writes = { written: [] as string[], failed: [] as string[], missing: [] as string[], vanished: 0 }
  const guestFrozen: string[] = []
  let errno: string | undefined
  const write = async (group: string, gone: () => void) => {
    try {
      // Frozen, the daemon could not thaw itself.
      if (chain.has(group)) throw Object.assign(new Error('the daemon is in it'), { code: 'EBUSY' })
      await setFreeze(join(root, group), true)
      writes.written.push(group)
    } catch (error) {
      if (isGone(error)) return gone()
      writes.failed.push(group)
      errno ??= errnoOf(error) ?? 'EIO'
    }
  }
  const writePlanned = async (group: string) => {
    const isGuests = !isOurs(group) && (await isSetToFreeze(join(root, group)).catch(() => false))
    if (isGuests) guestFrozen.push(group)
    else
      await write(group, () => {
        writes.vanished += 1
      })
  }
  const open = gate === undefined ? () => {} : await gate.shut()
  if (open === undefined) return undefined
  for (const group of COMMAND_GROUPS) await write(group, () => writes.missing.push(group))
  open()
  const due = plan?.planned.filter(({ duty }) => duty === 'freeze') ?? []
  await forEachLimited(due, GROUP_LANES, ({ group }) => writePlanned(group))
  return { ...writes, guestFrozen, errno }
}
