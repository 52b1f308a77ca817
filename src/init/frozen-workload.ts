/** What `POST /init` has to do with a freeze of the workload (`cgroups/freeze`): tell of it, and end it. */
export interface FrozenWorkload {
  /**
   * The value of `X-Envd-Freeze-Audit` (contract F3): how well a freeze of the whole hierarchy held until now, as JSON of
   * numbers without names; undefined while no such freeze is in effect. Takes some 20 ms at most; never rejects. To be
   * asked before `thaw`.
   */
  audit(): Promise<string | undefined>
  /**
   * Ends every freeze of ours (contract H7). Resolves when all was tried; what failed was logged and is tried again by the
   * watchdog. Waits for a freeze under way, cannot be cancelled, writes to no disk, never rejects.
   */
  thaw(): Promise<void>
}
