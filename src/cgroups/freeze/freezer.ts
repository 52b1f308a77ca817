import { join } from 'node:path'
import { AppError } from '../../errors.ts'
import { createLock } from '../../lib/lock.ts'
import { NEVER } from '../../lib/never.ts'
import type { Log } from '../../log.ts'
import { COMMAND_GROUPS } from '../properties.ts'
import { auditHierarchy } from './audit.ts'
import { type FreezeWrites, freezeAll } from './freeze-all.ts'
import { isSetToFreeze } from './group-files.ts'
import { MAX_GROUPS } from './group-tree.ts'
import { findGuestFrozen } from './guest-frozen.ts'
import { type FreezeStore, freezeFor, leftOfFreeze, NO_STORE } from './kept-freeze.ts'
import { ownChain } from './own-group.ts'
import { type Plan, planHierarchy, type Rules } from './plan.ts'
import { type FreezeResult, NOTHING_FROZEN, toResult } from './result.ts'
import type { StartGate } from './start-gate.ts'
import { thawGroups } from './thaw.ts'
import { type WaitResult, waitUntilFrozen } from './wait-frozen.ts'
import { createWatchdog, WATCHDOG_MS, type Watchdog } from './watchdog.ts'

/** What to freeze, and how long to wait for it (contract B56). */
export interface FreezeRequest {
  /** The whole hierarchy but for what it needs to live on, or the groups of commands only. */
  readonly hierarchy: boolean
  /** Cgroups of the hierarchy to look at; undefined or not positive: 512; at most 8,192. */
  readonly maxCgroups: number | undefined
  /** Milliseconds to wait until everything has stopped; undefined or not positive: do not look at all. */
  readonly maxWait: number | undefined
}

interface FreezerOptions {
  /** The directory with the groups of commands. */
  readonly root: string
  readonly gate: StartGate | undefined
  readonly log: Log
  /** Default: nothing is kept. */
  readonly kept?: FreezeStore
  /** Milliseconds that a freeze lasts at most; another one than the standard is for tests. */
  readonly watchdogMs?: number
}

/** The bound for requests that name none (contract H4). */
const DEFAULT_CGROUPS = 512
/** Waiting longer makes no sense: the watchdog would thaw meanwhile. */
const MAX_WAIT_MS = WATCHDOG_MS

const NOTHING: ReadonlySet<string> = new Set()
const NOT_LOOKED_AT: WaitResult = { frozen: 0, unobservable: 0, vanished: 0, failed: 0 }

/** The time from the first write of a freeze to a clean thaw. */
interface FreezeWindow {
  readonly guestFrozen: Set<string>
  /** What was written in it. */
  readonly ours: Set<string>
  /** An earlier daemon began it: whatever else than the guest's is frozen is ours, too. */
  readonly inherited: boolean
  /** Of the latest freeze of the hierarchy, while no thaw was tried since. */
  audit: Rules | undefined
}

/** Freezes and thaws what runs in the sandbox, one call at a time (contract H3 to H10). */
export class Freezer {
  readonly #root: string
  readonly #gate: StartGate | undefined
  readonly #log: Log
  readonly #kept: FreezeStore
  readonly #watchdogMs: number
  readonly #lock = createLock()
  readonly #watchdog: Watchdog
  #generation = 0
  #window: FreezeWindow | undefined
  /** A thaw that waits for its turn: later calls share it. */
  #nextThaw: Promise<string[]> | undefined

  constructor({ root, gate, log, kept = NO_STORE, watchdogMs = WATCHDOG_MS }: FreezerOptions) {
    this.#root = root
    this.#gate = gate
    this.#log = log
    this.#kept = kept
    this.#watchdogMs = watchdogMs
    this.#watchdog = createWatchdog(watchdogMs, () => {
      log.warn({ seconds: watchdogMs / 1000 }, 'no call has ended the freeze: thawing')
      void this.thaw()
    })
  }

  /**
   * Goes on with the freeze of an earlier daemon, or with one of the groups of commands that nothing is known of: it
   * ends as one of this daemon does. To be called before anything else. Never rejects.
   */
  async goOn(): Promise<void> {
    const { before } = this.#kept
    const frozen = (group: string) => isSetToFreeze(join(this.#root, group)).catch(() => false)
    if (before === undefined && !(await Promise.all(COMMAND_GROUPS.map(frozen))).includes(true)) return
    this.#window = { guestFrozen: new Set(before?.guestFrozen), ours: new Set(), inherited: true, audit: undefined }
    const left = before === undefined ? this.#watchdogMs : leftOfFreeze(before, this.#watchdogMs)
    if (before === undefined) this.#keep(this.#window)
    this.#watchdog.arm(left)
    this.#gate?.ownFreeze(before !== undefined)
    this.#log.warn({ seconds: Math.round(left / 1000) }, 'commands are frozen, by an earlier daemon or another program')
  }

  /** Keeps the freeze that is in effect, or about to be. */
  #keep({ guestFrozen }: FreezeWindow): void {
    this.#kept.write(freezeFor(this.#watchdogMs, guestFrozen))
  }

  /**
   * Freezes; a second time before a thaw adds to the first. What cannot be frozen is counted, not an error. Rejects
   * with nothing but the signal's reason, while it waits for its turn or for processes to stop; what was frozen by then
   * stays so.
   */
  async freeze(request: FreezeRequest, signal: AbortSignal): Promise<FreezeResult> {
    const release = await this.#lock.acquire(signal)
    this.#generation += 1
    try {
      return await this.#freezeNow(request, signal)
    } finally {
      release()
    }
  }

  /**
   * Thaws (contract H7), whatever froze it; waits for a freeze under way. Rejects with AppError `internal` that says in
   * numbers what may be frozen still; the watchdog will try again.
   */
  async unfreeze(): Promise<void> {
    const problems = await this.#thawInTurn()
    if (problems.length > 0) throw new AppError('internal', `unfreeze: ${problems.join(', ')}`)
  }

  /** Counts the freezes that had their turn (contract N8). */
  get generation(): number {
    return this.#generation
  }

  /** Resolves when no freeze or thaw is under way. Rejects with the signal's reason. */
  async idle(signal: AbortSignal): Promise<void> {
    const release = await this.#lock.acquire(signal)
    release()
  }

  /**
   * Thaws, but never rejects: problems are only logged.
   * @param generation with a freeze after that one nothing is done. Resolves with whether it thawed.
   */
  async thaw(generation?: number): Promise<boolean> {
    if (generation === undefined) {
      await this.#thawInTurn()
      return true
    }
    // A thaw is not cancelled (contract H10).
    const release = await this.#lock.acquire(NEVER)
    try {
      if (generation !== this.#generation) return false
      await this.#thawNow()
      return true
    } finally {
      release()
    }
  }

  /**
   * How well a freeze of the hierarchy held until now, as JSON for `X-Envd-Freeze-Audit` (contract F3); undefined while
   * none is in effect. Takes some 20 ms at most; never rejects.
   */
  async audit(): Promise<string | undefined> {
    const rules = this.#window?.audit
    if (rules === undefined) return undefined
    return auditHierarchy(rules).then(JSON.stringify, () => undefined)
  }

  /** Thaws what this freezer froze, as its watchdog ends with it. Call it once, last. */
  async close(): Promise<void> {
    if (this.#window !== undefined) await this.thaw()
    this.#watchdog.disarm()
  }

  async #freezeNow(request: FreezeRequest, signal: AbortSignal): Promise<FreezeResult> {
    const started = performance.now()
    const chain = await ownChain(this.#root)
    const window = this.#window ?? (await this.#newWindow())
    signal.throwIfAborted()
    const rules = request.hierarchy ? this.#rulesOf(request, chain, window) : undefined
    const plan = await this.#planOf(rules)
    // Before: this daemon may end at any moment.
    this.#keep(window)
    const writes = await freezeAll({
      root: this.#root,
      chain: chain ?? NOTHING,
      plan,
      gate: this.#gate,
      isOurs: (group) => window.ours.has(group) || (window.inherited && !window.guestFrozen.has(group)),
    })
    if (this.#window === undefined && !writes?.written.length) this.#kept.write(undefined)
    if (writes === undefined) return this.#notFrozen(request, performance.now() - started)
    if (writes.written.length > 0) {
      this.#window = window
      for (const group of writes.written) window.ours.add(group)
      for (const group of writes.guestFrozen) window.guestFrozen.add(group)
      if (plan !== undefined) window.audit = rules
      this.#keep(window)
      this.#watchdog.arm()
      this.#gate?.ownFreeze(true)
    }
    const sweepMs = performance.now() - started
    const waited = await this.#waitFor(writes, request, signal)
    const result = toResult({ writes, plan, waited, sweepMs, waitMs: performance.now() - started - sweepMs })
    this.#log.info({ ...result, errno: writes.errno }, 'workload frozen')
    return result
  }

  #notFrozen({ hierarchy }: FreezeRequest, sweepMs: number): FreezeResult {
    this.#log.warn({}, 'nothing was frozen: commands were being started for too long')
    return { ...NOTHING_FROZEN, mode: hierarchy ? 'hierarchy' : 'legacy', sweepMs: Math.round(sweepMs) }
  }

  async #newWindow(): Promise<FreezeWindow> {
    try {
      const { groups, truncated } = await findGuestFrozen(this.#root)
      if (truncated) this.#log.warn({ limit: MAX_GROUPS }, 'not all cgroups were looked at for what the guest froze')
      return { guestFrozen: groups, ours: new Set(), inherited: false, audit: undefined }
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'what the guest froze is unknown')
      return { guestFrozen: new Set(), ours: new Set(), inherited: false, audit: undefined }
    }
  }

  #rulesOf(
    { maxCgroups = 0 }: FreezeRequest,
    chain: ReadonlySet<string> | undefined,
    { guestFrozen }: FreezeWindow,
  ): Rules | undefined {
    if (chain === undefined) {
      this.#log.warn({}, "the daemon's own cgroup is unknown: only the groups of commands are frozen")
      return undefined
    }
    const limit = maxCgroups > 0 ? Math.min(maxCgroups, MAX_GROUPS) : DEFAULT_CGROUPS
    return { root: this.#root, chain, guestFrozen, limit }
  }

  async #planOf(rules: Rules | undefined): Promise<Plan | undefined> {
    if (rules === undefined) return undefined
    try {
      return await planHierarchy(rules)
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'the cgroups cannot be listed: only the groups of commands are frozen')
      return undefined
    }
  }

  async #waitFor({ written }: FreezeWrites, { maxWait = 0 }: FreezeRequest, signal: AbortSignal): Promise<WaitResult> {
    if (maxWait <= 0) return NOT_LOOKED_AT
    return waitUntilFrozen({ root: this.#root, groups: written, maxWait: Math.min(maxWait, MAX_WAIT_MS) }, signal)
  }

  #thawInTurn(): Promise<string[]> {
    this.#nextThaw ??= this.#lock.acquire(NEVER).then(async (release) => {
      this.#nextThaw = undefined
      try {
        return await this.#thawNow()
      } finally {
        release()
      }
    })
    return this.#nextThaw
  }

  /** Returns the problems. Never rejects. */
  async #thawNow(): Promise<string[]> {
    const window = this.#window
    if (window === undefined && this.#gate?.isThawed() === true) return []
    if (window !== undefined) window.audit = undefined
    const problems = await thawGroups({
      root: this.#root,
      chain: (await ownChain(this.#root)) ?? NOTHING,
      guestFrozen: window?.guestFrozen ?? NOTHING,
      everywhere: window !== undefined,
    })
    if (problems.length > 0) this.#log.warn({ problems: problems.join(', ') }, 'not everything could be thawed')
    else this.#window = undefined
    this.#gate?.ownFreeze(this.#window !== undefined)
    this.#kept.write(this.#window === undefined ? undefined : freezeFor(this.#watchdogMs, this.#window.guestFrozen))
    if (this.#window !== undefined) this.#watchdog.arm()
    else this.#watchdog.disarm()
    if (window !== undefined) this.#log.info({ clean: problems.length === 0 }, 'workload thawed')
    return problems
  }
}
