import type { Workload } from '../cgroups/freeze/workload.ts'
import type { Cpus } from '../cpus/cpus.ts'
import { createLock } from '../lib/lock.ts'
import { type ApplicationOptions, createApplication } from './application.ts'
import { refusalOf } from './authorization.ts'
import { type InitCall, reportCpus, reportDefaults } from './call.ts'
import type { InitProgress } from './kept-state.ts'
import type { Look, Mmds } from './mmds/mmds.ts'
import type { InitRequest } from './request.ts'
import { createUnobserved, type Unobserved } from './unobserved.ts'

/** What came of a request: applied (or too old to matter, which is success as well), or why its token was refused. */
type InitOutcome = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/** The state that `POST /init` sets, and the rules of who may set it. */
export interface Initialization {
  /** Whether a call has succeeded yet (contract F22). */
  readonly initialized: boolean
  /** Resolves when the first call has succeeded. */
  readonly first: Promise<void>
  /**
   * To be asked before the body is read, and handed to `apply`: the freezes up to now, which the call ends; later ones
   * it does not (contract N8). Waits for a freeze under way. Rejects with the signal's reason.
   */
  enter(signal: AbortSignal): Promise<number>
  /**
   * Applies one request at a time. What can be checked is checked before anything is changed; what is begun is
   * finished, also when the client goes away. Rejects with the signal's reason while the call waits for its turn or for
   * the host's word on its token, and with AppError if certificates or volumes cannot be had (contract F17 to F19).
   */
  apply(request: InitRequest, call: InitCall): Promise<InitOutcome>
}

/** What a call needs of freezes: to wait for one, to report on it, and to end it. */
export type FrozenWorkload = Pick<Workload, 'generation' | 'idle' | 'audit' | 'thaw'>

/** What an initialization sets. */
export interface InitializationOptions extends ApplicationOptions {
  readonly metadata: Pick<Mmds, 'look'>
  readonly frozen: FrozenWorkload
  readonly cpus: Pick<Cpus, 'request' | 'figures'>
  /**
   * Called after each authorised request, before its answer, with what it has come to; also after one that failed
   * half-way.
   */
  readonly onApplied: (progress: InitProgress) => void
}

/** Makes the state of a daemon that was not initialised yet, unless the one before it was. */
export function createInitialization(options: InitializationOptions): Initialization {
  const { token, metadata, frozen, defaults, cpus } = options
  const lock = createLock()
  const first = Promise.withResolvers<void>()
  const application = createApplication(options)
  const unobserved = createUnobserved(frozen)
  const endFreeze = createThaw(options, unobserved)
  let { initialized } = options.progress

  /**
   * The order is that of contract F23; an authorised call ends a freeze, also if it is stale or fails (contract F10).
   */
  const applyNow = async (request: InitRequest, call: InitCall, look: Look): Promise<InitOutcome> => {
    const reason = await refusalOf({ token, look }, request.accessToken, call.signal)
    if (reason !== undefined) return { ok: false, reason }
    const audit = await frozen.audit()
    if (audit !== undefined) call.setHeader('x-envd-freeze-audit', audit)
    if (request.skipThaw) call.setHeader('x-envd-thaw', 'skip')
    let rejected: string | undefined
    try {
      const refreshed = look.refresh()
      rejected = await application.apply(request, call)
      await refreshed
      initialized = true
      first.resolve()
    } finally {
      options.onApplied({ ...application.progress, initialized })
      await endFreeze(request, call)
    }
    unobserved.report(call)
    reportCpus(cpus.figures(), rejected, call)
    reportDefaults(defaults, application.progress.userNamed, call)
    return { ok: true }
  }

  if (initialized) first.resolve()
  return {
    get initialized() {
      return initialized
    },
    first: first.promise,
    enter: (signal) => generationOf(frozen, signal),
    apply: async (request, call) => {
      // A client that has left costs no request to the metadata service.
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

async function generationOf(frozen: FrozenWorkload, signal: AbortSignal): Promise<number> {
  await frozen.idle(signal)
  return frozen.generation
}

/** Makes what ends a freeze at the end of a call, whatever came of it. */
function createThaw({ frozen, log }: InitializationOptions, unobserved: Unobserved) {
  return async ({ skipThaw }: InitRequest, call: InitCall): Promise<void> => {
    if (skipThaw) return
    if (await frozen.thaw(call.generation)) unobserved.thawed(call)
    else log.info({}, 'a freeze began while a call of /init was read or waited: the call leaves it in effect')
  }
}
