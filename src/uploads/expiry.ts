import { bootId } from '../lib/boot-id.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import { EXPIRES_MS } from './limits.ts'

/** When an upload expires. */
export interface Expiry {
  /** Milliseconds since 1970. Counts where `running` does not. */
  readonly expires: number
  /**
   * The same by a clock that is never set (`monotonicNow`), while the machine runs that has this boot id, and with this
   * `expires`: an older daemon changes that alone. Absent: an older daemon has written this.
   */
  readonly running?: { readonly boot: string; readonly until: number; readonly expires: number } | undefined
}

/** That of an upload of which something has come now. */
export function newExpiry(): Expiry {
  return expiryIn(EXPIRES_MS)
}

/** The expiry that an earlier daemon has recorded: from now on setting the wall clock does not move it. */
export function keptExpiry({ expires, running }: Expiry): Expiry {
  const boot = bootId()
  const counts = boot !== '' && running?.boot === boot && running.expires === expires
  return expiryIn(Math.min(EXPIRES_MS, counts ? running.until - monotonicNow() : expires - Date.now()))
}

/** Milliseconds that are left; none: it has expired. */
export function leftOf({ expires, running }: Expiry): number {
  return running === undefined ? expires - Date.now() : running.until - monotonicNow()
}

function expiryIn(left: number): Expiry {
  const expires = Math.round(Date.now() + left)
  return { expires, running: { boot: bootId(), until: monotonicNow() + left, expires } }
}
