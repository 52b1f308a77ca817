import { createLock } from '../lib/lock.ts'
import type { Defaults } from '../users/defaults.ts'
import type { AccessToken } from './access-token.ts'
import { refusalOf } from './authorization.ts'
import type { Clock } from './clock.ts'
import type { FrozenWorkload } from './frozen-workload.ts'
import type { HostSetup } from './host-setup.ts'
import type { InitRequest } from './request.ts'
import type { MetadataLook, SandboxMetadata } from './sandbox-metadata.ts'

/** What came of a request: applied (or too old to matter, which is success as well), or why its token was refused. */
type InitOutcome = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** One call, beside what it asks for. */
interface InitCall {
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal
  /** Takes how well a freeze held (contract F3), once the call is authorised; whatever comes of it then. */
  readonly onAudit: (audit: string) => void
}

/** The state that `POST /init` sets, and the rules of who may set it. */
export interface Initialization {
  /** Whether a call has succeeded yet (contract F22). */
  readonly initialized: boolean
  /** Resolves when the first call has succeeded. */
  readonly first: Promise<void>
  /**
   * Applies one request at a time. What can be checked is checked before anything is changed; what is begun is finished, also when
   * the client goes away. Rejects with the signal's reason while the call waits for its turn or for the host's word on its token, and with
   * AppError if certificates or volumes cannot be had (contract F17 to F19).
   */
  apply(request: InitRequest, call: InitCall): Promise<InitOutcome>
}

/** What an initialization sets. */
export interface InitializationOptions {
  readonly token: AccessToken
  readonly defaults: Defaults
  readonly clock: Clock
  readonly metadata: SandboxMetadata
  readonly host: HostSetup
  readonly frozen: FrozenWorkload
}

/** Makes the state of a daemon that was not initialised yet. */
export function createInitialization(options: InitializationOptions): Initialization {
  const { token, metadata, frozen } = options
  const lock = createLock()
  const first = Promise.withResolvers<void>()
  const applyIfNew = createApplication(options)
  let initialized = false

  /** The order is that of contract F23; an authorised call ends a freeze, also if it is stale or fails (contract F10). */
  const applyNow = async (request: InitRequest, call: InitCall, look: MetadataLook): Promise<InitOutcome> => {
    const reason = await refusalOf({ token, look }, request.accessToken, call.signal)
    if (reason !== undefined) return { ok: false, reason }
    const audit = await frozen.audit()
    if (audit !== undefined) call.onAudit(audit)
    try {
      const refreshed = look.refresh()
      await applyIfNew(request, call.signal)
      await refreshed
      initialized = true
      first.resolve()
    } finally {
      await frozen.thaw()
    }
    return { ok: true }
  }

  return {
    get initialized() {
      return initialized
    },
    first: first.promise,
    apply: async (request, call) => {
      // Whoever has left already costs no look.
      call.signal.throwIfAborted()
      // Before the turn comes, so that calls that wait share it.
      const look = metadata.look()
      const release = await lock.acquire(call.signal)
      try {
        return await applyNow(request, call, look)
      } finally {
        release()
      }
    },
  }
}

/** For a client who went away when half was done: the rest follows. */
const NEVER = new AbortController().signal

/** Makes the part that applies what a request asks for, unless a newer one has been applied (contract F11). */
function createApplication({ token, defaults, clock, host }: InitializationOptions) {
  let newest = 0n
  return async (request: InitRequest, signal: AbortSignal): Promise<void> => {
    const { timestamp, caBundle, volumeMounts } = request
    if (timestamp !== undefined && timestamp < newest) return
    host.volumes.check(volumeMounts)
    if (caBundle !== '') await host.caBundle.check()
    if (timestamp !== undefined) {
      newest = timestamp
      clock.adjust(timestamp)
    }
    setDefaults(defaults, request)
    if (request.accessToken === undefined) token.clear()
    else token.set(request.accessToken)
    if (request.hyperloopIP !== '') void host.hyperloop.set(request.hyperloopIP)
    if (caBundle !== '') await host.caBundle.install(caBundle, signal.aborted ? NEVER : signal)
    if (volumeMounts.length > 0) await host.volumes.mount(volumeMounts, request.lifecycleID)
  }
}

function setDefaults(defaults: Defaults, request: InitRequest): void {
  if (request.envVars !== undefined) defaults.env.replaceUser(request.envVars)
  if (request.defaultUser) defaults.user = request.defaultUser
  if (request.defaultWorkdir) defaults.workdir = request.defaultWorkdir
}
