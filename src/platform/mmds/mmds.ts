import type { Log } from '../../log.ts'
import type { EnvVars } from '../../system/defaults.ts'
import { createMmdsClient, type MmdsClientOptions } from './client.ts'
import { createIdentity } from './identity.ts'
import { createLookUp } from './look-up.ts'
import type { MmdsOptions } from './options.ts'
import { createPoller, type Pace } from './poller.ts'
import { shareReads } from './reads.ts'
import { createRouteRepair, type RunCommand } from './route-repair.ts'
import { within } from './within.ts'

/** The microVM's metadata service: what the host says about this sandbox. */
export interface Mmds {
  /** Begins to ask who this is, until the service answers (contract G11). */
  start(): void
  /** What the host says now; undefined if the service cannot be reached, also after a repair of the way (contract F9). Never rejects. */
  lookUp(): Promise<FoundOptions | undefined>
  /**
   * Makes the sandbox's ids those of now: variables, files, log target (contract F21). Takes 20 ms at most; what is not done by then goes on
   * in the background, for a minute. Never rejects.
   */
  refresh(): Promise<void>
  /** Ends everything under way. Idempotent. */
  close(): void
}

/** The outcome of a look-up. */
export interface FoundOptions extends MmdsOptions {
  /** `refresh` with this outcome, asking nobody. */
  adopt(): Promise<void>
}

/** What the service's answers go to. */
export interface MmdsParts {
  readonly env: EnvVars
  readonly runDir: string
  /** Takes the options when they name a log collector (contract G12). */
  readonly onOptions: (options: MmdsOptions) => void
  readonly run: RunCommand
  readonly log: Log
  /** Takes a line for standard error, for whoever reads the service manager's journal. */
  readonly complain: (line: string) => void
  /** Elsewhere and at another pace, in tests. */
  readonly client?: MmdsClientOptions
  readonly pace?: Pace
}

/** A service of the host answers within 2 ms; the caller of `/init` waits for 50. */
const REFRESH_BUDGET_MS = 20

/** Makes the daemon's view of the service; nobody is asked before the first call. */
export function createMmds({ client, pace, complain, ...parts }: MmdsParts): Mmds {
  const { log, run } = parts
  const closing = new AbortController()
  const { signal } = closing
  const identity = createIdentity(parts)
  const reads = shareReads(createMmdsClient(client), signal)
  const lookUp = createLookUp({ reads, repair: createRouteRepair({ run, signal, log }), signal })
  const missed = (endless: boolean) => {
    if (endless) log.warn({}, 'no metadata service answers; asking once a second from now on')
    else complain('<4>gave up asking the metadata service who this sandbox is')
  }
  const poller = createPoller({
    read: () => reads.next(),
    found: identity.adopt,
    missed,
    signal,
    ...(pace === undefined ? {} : { pace }),
  })
  const adopt = async (options: MmdsOptions) => {
    await within(REFRESH_BUDGET_MS, identity.adopt(options), signal)
  }
  return {
    start: poller.untilFound,
    lookUp: async () => {
      const options = await lookUp()
      return options && { ...options, adopt: () => adopt(options) }
    },
    refresh: async () => {
      let found = false
      const work = async () => {
        const options = await reads.next()
        found = true
        await identity.adopt(options)
      }
      await within(REFRESH_BUDGET_MS, work(), signal)
      if (!found) poller.hurry()
    },
    close: () => closing.abort(),
  }
}

/** Where there is no such service: nobody is ever asked (contract F8). */
export const NO_MMDS: Mmds = {
  start: () => {},
  lookUp: async () => undefined,
  refresh: async () => {},
  close: () => {},
}
