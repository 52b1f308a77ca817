/**
 * After the leader is gone, a pipe that a background child holds open is given this long without a byte before the end
 * is reported. Long enough for a child that still flushes, short enough for a caller that waits.
 */
const QUIET_MS = 1000

/**
 * And this long in all, whatever is written: a server in the background that logs all the time is no reason to wait.
 */
const MAX_WAIT_MS = 2000

interface QuietWaitHandlers {
  /** Nothing was written for `QUIET_MS`; called again if `written` is called then. */
  readonly onQuiet: () => void
  /** `MAX_WAIT_MS` have passed since the beginning. */
  readonly onLimit: () => void
}

/** How long the end of a process waits for the rest of its output. The owner calls `cancel`. */
export class QuietWait {
  readonly #handlers: QuietWaitHandlers
  #quiet: NodeJS.Timeout | undefined
  #limit: NodeJS.Timeout | undefined

  constructor(handlers: QuietWaitHandlers) {
    this.#handlers = handlers
  }

  /** Starts both clocks; nothing if they run. */
  begin(): void {
    this.#quiet ??= setTimeout(this.#handlers.onQuiet, QUIET_MS)
    this.#limit ??= setTimeout(this.#handlers.onLimit, MAX_WAIT_MS)
  }

  /** There was output: the clock of silence starts anew, if it was started. */
  written(): void {
    this.#quiet?.refresh()
  }

  /** Stops both clocks. Idempotent. */
  cancel(): void {
    clearTimeout(this.#quiet)
    clearTimeout(this.#limit)
  }
}
