import { join } from 'node:path'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { COMMAND_GROUPS } from '../properties.ts'
import { GROUP_LANES, readEvents } from './group-files.ts'
import { type Planned, planHierarchy, type Rules } from './plan.ts'

/**
 * How long an audit may take: it delays an answer whose client leaves after 50 ms.
 */
const AUDIT_MS = 20

/** What `X-Envd-Freeze-Audit` says (contract F3): numbers of cgroups, never names. */
interface Audit {
  /** Looked at. */
  readonly visited: number
  /** Everything in them has stopped, as it should. */
  readonly frozen: number
  /** Should have stopped, yet something in them runs: made or thawed since the freeze. */
  readonly escaped: number
  /** Frozen though they never must be: what is allowed to go on. */
  readonly violations: number
  /** Not everything was looked at. */
  readonly truncated: boolean
}

/**
 * Compares the cgroups with what a hierarchy freeze by these rules should have made of them. Rejects with the errno of
 * a tree that cannot be listed.
 */
export async function auditHierarchy(rules: Rules): Promise<Audit> {
  const deadline = performance.now() + AUDIT_MS
  const workload = COMMAND_GROUPS.map((group): Planned => ({ group, duty: rules.chain.has(group) ? 'pass' : 'freeze' }))
  const { planned, truncated } = await planHierarchy(rules)
  const count = { visited: 0, frozen: 0, escaped: 0, violations: 0, truncated }
  await forEachLimited([...workload, ...planned], GROUP_LANES, async ({ group, duty }) => {
    if (performance.now() > deadline) {
      count.truncated = true
      return
    }
    count.visited += 1
    if (duty !== 'freeze' && duty !== 'allowed') return
    const events = await readEvents(join(rules.root, group)).catch(() => undefined)
    if (events === undefined) return
    if (duty === 'allowed') count.violations += Number(events.frozen)
    else if (events.frozen) count.frozen += 1
    else if (events.populated) count.escaped += 1
  })
  return count
}
