import type { Log } from '../../log.ts'
import { type FreezeRequest, Freezer } from './freezer.ts'
import { type FreezeResult, NOTHING_FROZEN } from './result.ts'
import { createStartGate, type StartGate } from './start-gate.ts'

/** What the daemon does with freezes, with cgroups or without. */
export interface Workload {
  /** See `Freezer.freeze`. */
  freeze(request: FreezeRequest, signal: AbortSignal): Promise<FreezeResult>
  /** See `Freezer.unfreeze`. */
  unfreeze(): Promise<void>
  /** See `Freezer.thaw`. */
  thaw(generation?: number): Promise<boolean>
  /** See `Freezer.generation`. */
  readonly generation: number
  /** See `Freezer.idle`. */
  idle(signal: AbortSignal): Promise<void>
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
  /** The same for how long a start waits. */
  readonly startWaitMs?: number
}

/** Without cgroups nothing is frozen, and a freeze says so (contract B58). */
export async function createWorkload({ root, log, startWaitMs, ...timing }: WorkloadOptions): Promise<Workload> {
  if (root === undefined) return withoutCgroups()
  const gate = await createStartGate(root, log, startWaitMs)
  const freezer = new Freezer({ root, gate, log, ...timing })
  return {
    freeze: (request, signal) => freezer.freeze(request, signal),
    unfreeze: () => freezer.unfreeze(),
    thaw: (generation) => freezer.thaw(generation),
    get generation() {
      return freezer.generation
    },
    idle: (signal) => freezer.idle(signal),
    audit: () => freezer.audit(),
    gate,
    close: async () => {
      await freezer.close()
      gate.close()
    },
  }
}

/** Of the two groups of commands nothing can be told. */
const UNOBSERVABLE: FreezeResult = { ...NOTHING_FROZEN, failed: 0, requested: 2, unobservable: 2 }

function withoutCgroups(): Workload {
  let generation = 0
  return {
    freeze: async () => {
      generation += 1
      return UNOBSERVABLE
    },
    unfreeze: async () => {},
    thaw: async (entered) => entered === undefined || entered === generation,
    get generation() {
      return generation
    },
    idle: async () => {},
    audit: async () => undefined,
    gate: { enter: async () => () => {} },
    close: async () => {},
  }
}
