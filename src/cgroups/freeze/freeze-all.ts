import { join } from 'node:path'
import { errnoOf } from '../../errors.ts'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { GROUP_LANES, isGone, setFreeze } from './group-files.ts'
import { type Plan, WORKLOAD } from './plan.ts'
import type { StartGate } from './start-gate.ts'

/** Results of writing 1 to `cgroup.freeze`. Paths are from the root. */
export interface FreezeWrites {
  /** Written. */
  readonly written: string[]
  /** Could not be written, or skipped because the daemon is in it. */
  readonly failed: string[]
  /** Groups of commands that do not exist. */
  readonly missing: string[]
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
}

/**
 * Freezes the groups of commands one after the other (contract H3), then what is planned (contract H4). Of the latter, what has
 * vanished is left out. Goes on after a failure; never rejects.
 */
export async function freezeAll({ root, chain, plan, gate }: FreezeAllOptions): Promise<FreezeWrites> {
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
