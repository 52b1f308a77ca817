import { createLock } from '../../lib/lock.ts'
import { NEVER } from '../../lib/never.ts'
import type { Log } from '../../log.ts'
import { type FreezeRequest, Freezer } from './freezer.ts'
import { type FreezeStore, freezeFor, leftOfFreeze, NO_STORE } from './kept-freeze.ts'
import { type FreezeResult, NOTHING_FROZEN } from './result.ts'
import { createStartGate, type StartGate } from './start-gate.ts'
import { createWatchdog, WATCHDOG_MS } from './watchdog.ts'

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
  /** Where a freeze is kept for the next daemon; default: nowhere. */
  readonly kept?: FreezeStore
  /** Milliseconds that a freeze lasts at most; another one than the standard is for tests. */
  readonly watchdogMs?: number
  /** The same for how long a start waits. */
  readonly startWaitMs?: number
}

/** Without cgroups nothing is frozen, which a freeze says (contract B58); it only holds up starts (contract N4). */
export async function createWorkload(options: WorkloadOptions): Promise<Workload> {
  const { root, log, kept = NO_STORE, ...timing } = options
  const gate = await createStartGate(root, log, timing.startWaitMs)
  if (root === undefined) return withoutCgroups(gate, { log, kept, watchdogMs: timing.watchdogMs ?? WATCHDOG_MS })
  const freezer = new Freezer({ root, gate, log, kept, ...timing })
  await freezer.goOn()
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

/** Result where nothing is known of the two groups of commands. */
const UNOBSERVABLE: FreezeResult = { ...NOTHING_FROZEN, failed: 0, requested: 2, unobservable: 2 }

interface HoldOptions {
  readonly log: Log
  readonly kept: FreezeStore
  readonly watchdogMs: number
}

async function withoutCgroups(gate: StartGate, options: HoldOptions): Promise<Workload> {
  const starts = createStartHold(gate, options)
  if (options.kept.before !== undefined) await starts.hold(leftOfFreeze(options.kept.before, options.watchdogMs))
  const lock = createLock()
  let generation = 0
  const thaw = async (entered?: number) => {
    const release = await lock.acquire(NEVER)
    const isCurrent = entered === undefined || entered === generation
    if (isCurrent) starts.open()
    release()
    return isCurrent
  }
  return {
    freeze: async (_, signal) => {
      const release = await lock.acquire(signal)
      generation += 1
      await starts.hold().finally(release)
      return UNOBSERVABLE
    },
    unfreeze: async () => void (await thaw()),
    thaw,
    get generation() {
      return generation
    },
    idle: async (signal) => (await lock.acquire(signal))(),
    audit: async () => undefined,
    gate,
    close: async () => {
      starts.open()
      gate.close()
    },
  }
}

/** Holds starts up from `hold` to `open`; `hold` is called again only once it has settled. */
function createStartHold(gate: StartGate, { log, kept, watchdogMs }: HoldOptions) {
  let opens: (() => void) | undefined
  const open = () => {
    watchdog.disarm()
    opens?.()
    opens = undefined
    gate.ownFreeze(false)
    kept.write(undefined)
  }
  const watchdog = createWatchdog(watchdogMs, () => {
    log.warn({ seconds: watchdogMs / 1000 }, 'no call has ended the freeze: starts go on')
    open()
  })
  return {
    open,
    hold: async (ms = watchdogMs) => {
      opens ??= await gate.shut()
      if (opens === undefined) return
      gate.ownFreeze(true)
      kept.write(freezeFor(ms))
      watchdog.arm(ms)
    },
  }
}
