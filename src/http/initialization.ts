import { createLock } from '../lib/lock.ts'
import type { Clock } from '../system/clock.ts'
import type { Defaults } from '../system/defaults.ts'
import type { AccessToken } from './access-token.ts'
import type { InitRequest } from './init-request.ts'

/** What came of a request: applied (or too old to matter, which is success as well), or why its token was refused. */
export type InitOutcome = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** The state that `POST /init` sets, and the rules of who may set it. */
export interface Initialization {
  /** Whether a call has succeeded yet (contract F22). */
  readonly initialized: boolean
  /** Resolves when the first call has succeeded. */
  readonly first: Promise<void>
  /** Applies one request at a time, wholly or not at all. Rejects with the signal's reason while it waits for its turn. */
  apply(request: InitRequest, signal: AbortSignal): Promise<InitOutcome>
}

/** What an initialization sets. */
export interface InitializationOptions {
  readonly token: AccessToken
  readonly defaults: Defaults
  readonly clock: Clock
}

/** Makes the state of a daemon that was not initialised yet. */
export function createInitialization(options: InitializationOptions): Initialization {
  const lock = createLock()
  const first = Promise.withResolvers<void>()
  let initialized = false
  let newest = 0n
  const applyNow = (request: InitRequest): InitOutcome => {
    const reason = refusalOf(options.token, request.accessToken)
    if (reason !== undefined) return { ok: false, reason }
    initialized = true
    first.resolve()
    const { timestamp } = request
    if (timestamp !== undefined && timestamp < newest) return { ok: true }
    if (timestamp !== undefined) {
      newest = timestamp
      options.clock.adjust(timestamp)
    }
    setDefaults(options.defaults, request)
    if (request.accessToken !== undefined) options.token.set(request.accessToken)
    return { ok: true }
  }
  return {
    get initialized() {
      return initialized
    },
    first: first.promise,
    apply: async (request, signal) => {
      const release = await lock.acquire(signal)
      try {
        return applyNow(request)
      } finally {
        release()
      }
    },
  }
}

/** Without a metadata service a token that is set can only be repeated (contract F7 a and d, F8). */
function refusalOf(token: AccessToken, requested: string | undefined): string | undefined {
  if (!token.isSet || token.matches(requested)) return undefined
  return requested === undefined ? 'access token reset not authorized' : 'access token validation failed'
}

function setDefaults(defaults: Defaults, request: InitRequest): void {
  if (request.envVars !== undefined) defaults.env.replaceUser(request.envVars)
  if (request.defaultUser) defaults.user = request.defaultUser
  if (request.defaultWorkdir) defaults.workdir = request.defaultWorkdir
}
