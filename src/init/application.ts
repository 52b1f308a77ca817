import type { Cpus } from '../cpus/cpus.ts'
import { NEVER } from '../lib/never.ts'
import type { Log } from '../log.ts'
import type { Defaults } from '../users/defaults.ts'
import type { AccessToken } from './access-token.ts'
import { type InitCall, reportDelay } from './call.ts'
import type { Clock } from './clock.ts'
import type { CaBundle } from './host/ca-bundle.ts'
import type { Host } from './host/create.ts'
import type { InitProgress } from './kept-state.ts'
import type { InitRequest } from './request.ts'

/** What a request changes on the host of the daemon. */
export interface HostSetup extends Pick<Host, 'hyperloop' | 'volumes'> {
  readonly caBundle: Pick<CaBundle, 'check' | 'install'>
}

/** What a request is applied to. */
export interface ApplicationOptions {
  /** What the daemon before this one had come to. */
  readonly progress: InitProgress
  readonly token: AccessToken
  readonly defaults: Defaults
  readonly clock: Clock
  readonly host: HostSetup
  readonly cpus: Pick<Cpus, 'request'>
  readonly log: Log
}

/** Applies what a request asks for, unless a newer one has been applied (contract F11). */
interface Application {
  /** What it has come to, with what was half done. */
  readonly progress: Omit<InitProgress, 'initialized'>
  /** Resolves with why the number of CPUs was refused, if it was. Rejects as `Initialization.apply`. */
  apply(request: InitRequest, call: InitCall): Promise<string | undefined>
}

/** For a daemon that nothing was applied to, or that goes on where another one was. */
export function createApplication(options: ApplicationOptions): Application {
  const { token, defaults, clock, host, cpus, log } = options
  let { newest, userNamed } = options.progress

  const applyAll = async (request: InitRequest, { signal }: InitCall): Promise<void> => {
    const { caBundle, volumeMounts } = request
    if (request.envVars !== undefined) defaults.env.replaceUser(request.envVars)
    if (request.defaultUser) {
      defaults.user = request.defaultUser
      userNamed = true
    }
    if (request.defaultWorkdir) defaults.workdir = request.defaultWorkdir
    if (request.accessToken === undefined) token.clear()
    else token.set(request.accessToken)
    if (request.hyperloopIP !== '') void host.hyperloop.set(request.hyperloopIP)
    // For a client who went away when half was done the rest follows.
    if (caBundle !== '') await host.caBundle.install(caBundle, signal.aborted ? NEVER : signal)
    if (volumeMounts.length > 0) await host.volumes.mount(volumeMounts, request.lifecycleID)
  }

  const setCpus = async (count: number): Promise<string | undefined> => {
    const rejected = await cpus.request(count)
    if (rejected !== undefined) log.warn({ count, reason: rejected }, 'a number of CPUs is refused')
    return rejected
  }

  return {
    get progress() {
      return { newest, userNamed }
    },
    apply: async (request, call) => {
      const { timestamp, caBundle, volumeMounts, cpuCount } = request
      if (timestamp !== undefined) reportDelay(call, log)
      if (timestamp !== undefined && timestamp < newest) return undefined
      host.volumes.check(volumeMounts)
      if (caBundle !== '') await host.caBundle.check()
      if (timestamp !== undefined) {
        newest = timestamp
        clock.adjust(timestamp + reportDelay(call))
      }
      await applyAll(request, call)
      return cpuCount === undefined ? undefined : setCpus(cpuCount)
    },
  }
}
