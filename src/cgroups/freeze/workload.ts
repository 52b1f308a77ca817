import type { Log } from '../../log.ts'
import { type FreezeRequest, Freezer } from './freezer.ts'
import type { FreezeResult } from './result.ts'
import { createStartGate, type StartGate } from './start-gate.ts'

/** What the daemon does with freezes, with cgroups or without. */
export interface Workload {
  /** See `Freezer.freeze`. */
  freeze(request: FreezeRequest, signal: AbortSignal): Promise<FreezeResult>
  /** See `Freezer.unfreeze`. */
  unfreeze(): Promise<void>
  /** See `Freezer.thaw`. */
  thaw(): Promise<void>
  /** See `Freezer.audit`. */
  audit(): Promise<string | undefined>
  /** Where starts into the groups of commands wait. */
  readonly gate: Pick<StartGate, 'enter'>
  /** Thaws what it froze, lets every start go on and releases what it holds. Call it once. */
  close(): Promise<void>
}

interface WorkloadOptions {
  /** The directory with the groups of commands; undefined: there are none. */
  readonly root: string | undefined
  readonly log: Log
  /** Milliseconds that a freeze lasts at most; another one than the standard is for tests. */
  readonly watchdogMs?: number
}

/** Without cgroups nothing is frozen, and a freeze says so (contract B58). */
export async function createWorkload({ root, log, ...timing }: WorkloadOptions): Promise<Workload> {
  if (root === undefined) return WITHOUT_CGROUPS
  const gate = await createStartGate(root, log)
  const freezer = new Freezer({ root, gate, log, ...timing })
  return {
    freeze: (request, signal) => freezer.freeze(request, signal),
    unfreeze: () => freezer.unfreeze(),
    thaw: () => freezer.thaw(),
    audit: () => freezer.audit(),
    gate,
    close: async () => {
      await freezer.close()
      gate.close()
    },
  }
}

const UNOBSERVABLE: FreezeResult = {
  allowlisted: 0,
  failed: 0,
  frozen: 0,
  mode: 'legacy',
  notFrozen: 0,
  preFrozen: 0,
  requested: 2,
  sweepMs: 0,
  truncated: false,
  unobservable: 2,
  visited: 0,
  waitMs: 0,
}

const WITHOUT_CGROUPS: Workload = {
  freeze: async () => UNOBSERVABLE,
  unfreeze: async () => {},
  thaw: async () => {},
  audit: async () => undefined,
  gate: { enter: async () => () => {} },
  close: async () => {},
}
