import { setTimeout as delay } from 'node:timers/promises'
import { errorFields } from '../../lib/error-fields.ts'
import type { Log } from '../../log.ts'
import { type OomKill, type OomVictim, parseOomKill } from './oom-record.ts'
import { type RecordSource, readRecords } from './read-records.ts'

/** The kernel's log of this machine. */
const KERNEL_LOG = '/dev/kmsg'

/** Kills that are kept. */
const MAX_OOM_KILLS = 32

/** Milliseconds. */
interface KernelLogTimes {
  /** After a failure. */
  readonly retry: number
  /** After `MAX_FAILURES` in a row. */
  readonly silence: number
  /** A log that could be read for so long has not failed in a row. */
  readonly lasting: number
}

const TIMES: KernelLogTimes = { retry: 1_000, silence: 30 * 60_000, lasting: 60_000 }

const MAX_FAILURES = 5

/** What the kernel has killed for lack of memory. */
export interface OomKills {
  /** The last 32 since the boot, oldest first; undefined while it is not known (contract N17). */
  list(): readonly OomKill[] | undefined
  /** The number of the newest record of a kill; -1: there is none. */
  newest(): number
  /**
   * Whether a record after that one names the process by its number in the kernel's own pid namespace; waits for it so
   * many milliseconds. undefined: the log cannot be read at the moment. Never rejects.
   */
  wasKilled(pid: number, after: number, wait: number): Promise<boolean | undefined>
  /** Ends the reading. Idempotent. */
  close(): Promise<void>
}

/** Where the kernel's log is not read: outside microVMs, where it is the host's. */
export const NO_OOM_KILLS: OomKills = {
  list: () => undefined,
  newest: () => -1,
  wasKilled: async () => undefined,
  close: async () => {},
}

/** What is read, and how often after failures; the caller closes it. */
interface OomKillsOptions extends Partial<Pick<RecordSource, 'path' | 'read'>> {
  readonly log: Log
  readonly times?: KernelLogTimes
}

/** Follows the kernel's log on the event loop for as long as the daemon runs. */
export function followOomKills({ path = KERNEL_LOG, log, times = TIMES, ...source }: OomKillsOptions): OomKills {
  const over = new AbortController()
  let kills: OomVictim[] = []
  let known = false
  const waiting = new Set<(kill: OomVictim) => void>()
  const onRecord = (record: string) => {
    const kill = parseOomKill(record)
    if (kill === undefined) return
    kills = [...kills.slice(1 - MAX_OOM_KILLS), kill]
    for (const look of waiting) look(kill)
  }
  const onEnd = () => {
    known = true
  }
  const forget = () => {
    kills = []
    known = false
  }
  const ended = repeatedly({ path, ...source, onRecord, onEnd, signal: over.signal }, { forget, times, log })
  const recorded = (pid: number, after: number, wait: number) =>
    new Promise<boolean>((resolve) => {
      const settle = (found: boolean) => {
        clearTimeout(timer)
        waiting.delete(look)
        resolve(found)
      }
      const look = (kill: OomVictim) => {
        if (kill.pid === pid && kill.seq > after) settle(true)
      }
      const timer = setTimeout(() => settle(false), wait)
      waiting.add(look)
      kills.forEach(look)
    })
  return {
    list: () => (known ? kills.map(({ seq, process }) => ({ seq, process })) : undefined),
    newest: () => kills.at(-1)?.seq ?? -1,
    wasKilled: async (pid, after, wait) => (known ? recorded(pid, after, wait) : undefined),
    close: async () => {
      over.abort()
      await ended
    },
  }
}

/** Never rejects; resolves when the source's signal has aborted. */
async function repeatedly(
  source: RecordSource,
  { forget, times, log }: { readonly forget: () => void; readonly times: KernelLogTimes; readonly log: Log },
): Promise<void> {
  const { signal } = source
  for (let failures = 0; !signal.aborted; ) {
    const begun = performance.now()
    const error = await readRecords(source).catch((reason: unknown) => reason)
    forget()
    if (signal.aborted) return
    failures = performance.now() - begun >= times.lasting ? 1 : failures + 1
    const silent = failures === MAX_FAILURES
    if (silent) {
      failures = 0
      log.warn({ ...errorFields(error) }, 'the kernel log cannot be read: kills for want of memory are not reported')
    }
    await delay(silent ? times.silence : times.retry, undefined, { signal, ref: false }).catch(() => {})
  }
}
