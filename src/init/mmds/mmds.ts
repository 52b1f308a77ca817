import { withTimeout } from '../../lib/with-timeout.ts'
import type { Log } from '../../log.ts'
import type { EnvVars } from '../../users/defaults.ts'
import { createMmdsClient, type MmdsClientOptions } from './client.ts'
import { createIdentity } from './identity.ts'
import { createLookUp } from './look-up.ts'
import type { MmdsOptions } from './options.ts'
import { createPoller, type Pace } from './poller.ts'
import { shareReads } from './reads.ts'
import { createRouteRepair, type RunCommand } from './route-repair.ts'

/** The microVM's metadata service: what the host says about this sandbox. */
export interface Mmds {
  /** Begins to ask who this is, until the service answers (contract G11). */
  start(): void
  /**
   * Begins to look at what the host says, twice if need be, with a repair of the way in between (contract F9). Looks
   * that overlap are one.
   */
  look(): Look
  /** Ends everything under way. Idempotent. */
  close(): void
}

/** What the host says, now or in a moment. */
export interface Look {
  /** SHA-512 of the access token; empty if the host says nothing about it or cannot be reached. Never rejects. */
  readonly tokenHash: Promise<string>
  /**
   * Makes the sandbox's ids those that were found: variables, files, log target (contract F21). Takes 20 ms at most;
   * what is not known by then is asked for in the background, for a minute. Never rejects.
   */
  refresh(): Promise<void>
}

/** What the service's answers go to. */
export interface MmdsParts {
  readonly env: EnvVars
  readonly runDir: string
  /** Takes the options when they name a log collector (contract G12). */
  readonly onOptions: (options: MmdsOptions) => void
  readonly run: RunCommand
  readonly log: Log
  /** Takes a line for standard error, for readers of the service manager's journal. */
  readonly writeStderr: (line: string) => void
  /** Elsewhere and at another pace, in tests. */
  readonly client?: MmdsClientOptions
  readonly pace?: Pace
}

/** A service of the host answers within 2 ms; the caller of `/init` waits for 50. */
const REFRESH_BUDGET_MS = 20

/** Makes the daemon's view of the service; it sends nothing before the first call. */
export function createMmds({ client, pace, writeStderr, ...parts }: MmdsParts): Mmds {
  const { log, run } = parts
  const closing = new AbortController()
  const { signal } = closing
  const identity = createIdentity(parts)
  const reads = shareReads(createMmdsClient(client), signal)
  const lookUp = createLookUp({ reads, repair: createRouteRepair({ run, signal, log }), signal })
  const missed = (endless: boolean) => {
    if (endless) log.warn({}, 'no metadata service answers; asking once a second from now on')
    else writeStderr('<4>the metadata service has not answered for a minute: it is asked no more')
  }
  const poller = createPoller({
    read: () => reads.next(),
    found: identity.adopt,
    missed,
    signal,
    ...(pace === undefined ? {} : { pace }),
  })
  const adopt = async (looking: Promise<MmdsOptions | undefined>) => {
    let found = false
    const work = async () => {
      const options = await looking
      found = options !== undefined
      if (options !== undefined) await identity.adopt(options)
    }
    await withTimeout(REFRESH_BUDGET_MS, work(), signal)
    if (!found) poller.hurry()
  }
  return {
    start: poller.untilFound,
    look: () => {
      const looking = lookUp()
      return {
        tokenHash: looking.then((options) => options?.accessTokenHash ?? ''),
        refresh: () => adopt(looking),
      }
    },
    close: () => closing.abort(),
  }
}

/** Where there is no such service: nothing is ever sent (contract F8). */
export const NO_MMDS: Mmds = {
  start: () => {},
  look: () => ({ tokenHash: Promise.resolve(''), refresh: async () => {} }),
  close: () => {},
}
