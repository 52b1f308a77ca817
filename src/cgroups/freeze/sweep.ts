import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { GROUP_LANES, isGone, setFreeze } from './group-files.ts'
import { type Plan, WORKLOAD } from './plan.ts'
import type { StartGate } from './start-gate.ts'

/** What became of writing 1 to groups. Paths are from the root. */
export interface Swept {
  /** The kernel took it. */
  readonly written: string[]
  /** Could not be written, or was not tried: the daemon itself is in it. */
  readonly failed: string[]
  /** Groups of commands that there are not. */
  readonly missing: string[]
  /** The errno of the first failure. */
  readonly errno: string | undefined
}

/** What to freeze. */
export interface SweepOptions {
  readonly root: string
  /** From the root to the daemon's own cgroup; empty if that is unknown. */
  readonly chain: ReadonlySet<string>
  /** What else than the groups of commands. */
  readonly plan: Plan | undefined
  /** Shut while the groups of commands are written. */
  readonly gate: StartGate | undefined
}

/**
 * Freezes the groups of commands one after the other (contract H3), then what is planned (contract H4). Of the latter, what has
 * vanished is left out. Goes on after a failure; never rejects.
 */
export async function sweep({ root, chain, plan, gate }: SweepOptions): Promise<Swept> {
  const written: string[] = []
  const failed: string[] = []
  const missing: string[] = []
  let errno: string | undefined
  const write = async (group: string, gone: () => void) => {
    try {
      // Frozen, the daemon could not thaw itself.
      if (chain.has(group)) throw Object.assign(new Error('the daemon is in it'), { code: 'EBUSY' })
      await setFreeze(join(root, group), true)
      written.push(group)
    } catch (error) {
      if (isGone(error)) return gone()
      failed.push(group)
      errno ??= errnoOf(error) ?? 'EIO'
    }
  }
  const open = await gate?.shut()
  for (const group of WORKLOAD) await write(group, () => missing.push(group))
  open?.()
  const due = plan?.planned.filter(({ duty }) => duty === 'freeze') ?? []
  await forEachLimited(due, GROUP_LANES, ({ group }) => write(group, () => {}))
  return { written, failed, missing, errno }
}
