import { setTimeout as sleep } from 'node:timers/promises'
import type { FileVersion } from '../native/entries.ts'

/** The kernel's clock for times of files moves in steps of 10 ms at worst (time(7), jiffies at HZ=100). */
const CLOCK_STEP_MS = 10

/**
 * The entity tag of a regular file (RFC 9110 8.8.3), with its quotes. It changes with every write, and with changes of
 * mode, owner, attributes, name or links. The device is left out: numbers of devices change with every mount.
 */
export function entityTagOf({ ino, size, mtimeNs, ctimeNs }: FileVersion): string {
  return `"${[ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join('-')}"`
}

/** Tags of what the daemon wrote last; older ones have settled long before a thousand others come. */
const MAX_ISSUED = 1024

const issued = new Set<string>()

/** The tag of a file that was just written here: a download of that very version takes it as settled. */
export function issueTag(version: FileVersion): string {
  const tag = entityTagOf(version)
  issued.add(tag)
  for (const oldest of issued) {
    if (issued.size <= MAX_ISSUED) break
    issued.delete(oldest)
  }
  return tag
}

/**
 * Looks at a file until no later write can leave the same version: two writes within one step of the kernel's clock
 * carry the same time. A time of modification that differs from that of the change was set, and a write sets another
 * one; what `issueTag` was called for is taken as it is. Looks again once, after some 11 ms.
 * @returns the version, and its tag, which is a weak one if the file is written all the time.
 */
export async function settledVersion<Stats extends FileVersion>(
  look: () => Promise<Stats>,
): Promise<{ readonly stats: Stats; readonly tag: string }> {
  const first = await look()
  const settled = settledTag(first)
  if (settled !== undefined) return { stats: first, tag: settled }
  // Timers may fire a little early.
  for (let left = msToSettle(first); left > 0; left = msToSettle(first)) await sleep(left)
  const stats = await look()
  return { stats, tag: msToSettle(stats) === 0 ? entityTagOf(stats) : `W/${entityTagOf(stats)}` }
}

/** The tag of a version that no later write can leave again; undefined: it takes `settledVersion` to know one. */
export function settledTag(version: FileVersion): string | undefined {
  const tag = entityTagOf(version)
  return msToSettle(version) === 0 || issued.has(tag) ? tag : undefined
}

function msToSettle({ mtimeNs, ctimeNs }: FileVersion): number {
  const age = Date.now() - Number(ctimeNs / 1_000_000n)
  return mtimeNs !== ctimeNs || age < 0 || age > CLOCK_STEP_MS ? 0 : CLOCK_STEP_MS + 1 - age
}
