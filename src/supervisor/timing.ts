/** Every delay of the supervisor, in milliseconds, and its other numbers. */
export interface Timing {
  /** What the ready command has to succeed in, from each start. */
  readonly readyTimeout: number
  /** One attempt of it. */
  readonly attemptTimeout: number
  /** Pause after the first failed attempt; it doubles up to `maxPause`. */
  readonly firstPause: number
  readonly maxPause: number
  /** Between two attempts of the live command. */
  readonly liveInterval: number
  /** One attempt of it, at least. */
  readonly liveTimeout: number
  /** Wait before the first restart; it doubles up to `maxBackOff`. */
  readonly firstBackOff: number
  readonly maxBackOff: number
  /** Part of a wait by which it is made longer or shorter at random, so that many sandboxes do not restart in step. */
  readonly jitter: number
  /** Ready for this long: the next failure waits as the first one did. */
  readonly healthy: number
  /** After this many restarts within `breakerWindow` it is given up. */
  readonly breakerRestarts: number
  readonly breakerWindow: number
  /** What a session has to end in after SIGTERM, before SIGKILL. */
  readonly stopGrace: number
}

/** The pace of the product: what the flags do not set. */
export const PACE: Omit<Timing, 'readyTimeout' | 'attemptTimeout' | 'liveInterval' | 'liveTimeout'> = {
  firstPause: 100,
  maxPause: 2_000,
  firstBackOff: 1_000,
  maxBackOff: 30_000,
  jitter: 0.1,
  healthy: 60_000,
  breakerRestarts: 10,
  breakerWindow: 300_000,
  stopGrace: 10_000,
}
