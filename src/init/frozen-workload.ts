/** What `POST /init` has to do with a freeze of the workload (`cgroups/freeze`): tell of it, and end it. */
export interface FrozenWorkload {
  /** Counts the freezes: one more for each that had its turn, also for one that then froze nothing (contract N8). */
  readonly generation: number
  /** Resolves when no freeze or thaw is under way. Rejects with the signal's reason. */
  idle(signal: AbortSignal): Promise<void>
  /**
   * The value of `X-Envd-Freeze-Audit` (contract F3): how well a freeze of the whole hierarchy held until now, as JSON of
   * numbers without names; undefined while no such freeze is in effect. Takes some 20 ms at most; never rejects. To be
   * asked before `thaw`.
   */
  audit(): Promise<string | undefined>
  /**
   * Ends every freeze of ours (contract H7), unless there was one after that generation (contract N8). Resolves, with whether it did not
   * have to be left alone, when all was tried; what failed was logged and is tried again by the watchdog. Waits for a freeze under way,
   * cannot be cancelled, writes to no disk, never rejects.
   */
  thaw(generation: number): Promise<boolean>
}
