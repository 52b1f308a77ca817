import { AppError } from '../errors.ts'
import { endText } from '../keeper/end-text.ts'
import type { Keeper, Taken } from '../keeper/keeper.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import type { Log } from '../log.ts'
import { COMMIT, VERSION } from '../version.ts'
import type { HandOver } from './hand-over.ts'
import { bundleIn } from './installed.ts'
import { type RunProgram, verify } from './verify.ts'

/** What came of the newest upgrade, for `GET /upgrade/status`. */
interface UpgradeReport {
  readonly version: string
  readonly commit: string
  /** `upgraded`: this daemon has taken over; `went_back`: it goes on, as the other one did not serve. */
  readonly state: 'none' | 'under_way' | 'upgraded' | 'went_back'
  /** Who has handed over. */
  readonly from?: { readonly version: string; readonly commit: string }
  /** From the last request that was taken before to the first after. */
  readonly pauseMs?: number
  readonly reason?: string
}

interface UpgradeDeps {
  readonly keeper: Keeper
  readonly taken: Taken
  /** Hand-over of the daemon before this one, if it has handed over. */
  readonly before: HandOver | undefined
  readonly run: RunProgram
  /** How many words of the command line are arguments. */
  readonly words: number
  /** Keeps what the one that waits has to know if this daemon ends before it hands over; undefined: none waits. */
  readonly announce: (next: HandOver | undefined) => void
  /** Stops taking requests, and ends this process. */
  readonly handOver: (own: HandOver) => void
  readonly log: Log
}

/** Exchanges this daemon for another one, which goes on with all that the keeper keeps. */
interface Upgrade {
  /** There is a keeper to do it. */
  readonly possible: boolean
  /**
   * Verifies a bundle, starts its program and has it take over; resolves when requests are taken no more. Rejects with
   * AppError, and then this daemon goes on as it was.
   * @param directory absolute; undefined: the program of this one once more.
   */
  start(directory: string | undefined, signal: AbortSignal): Promise<void>
  /** This daemon serves from now on. */
  serving(): void
  readonly report: UpgradeReport
}

/** What another daemon may take to load, beside one that serves. */
const READY_MS = 15_000

/** Makes it; nothing is started. */
export function createUpgrade(deps: UpgradeDeps): Upgrade {
  const { keeper, before, run, words, announce, handOver, log } = deps
  const ofNow = (program: string | null): HandOver => {
    return { version: VERSION, commit: COMMIT, at: monotonicNow(), program, own: before?.program ?? null }
  }
  let underWay = false
  let servingSince: number | undefined
  /** Resolves with the program. */
  const bring = async (directory: string | undefined, signal: AbortSignal) => {
    const program = directory === undefined ? undefined : await bundleIn(directory)
    const candidate = program === undefined ? { version: VERSION, commit: COMMIT } : await verify(program, run, signal)
    log.info({ version: candidate.version, commit: candidate.commit }, 'upgrade: the other daemon is started')
    const path = program ?? before?.program ?? null
    announce(ofNow(path))
    const late = AbortSignal.timeout(READY_MS)
    await keeper.next(program, words, AbortSignal.any([signal, late])).catch((error: unknown) => {
      throw late.aborted ? new AppError('failed_precondition', 'the other daemon does not become ready') : error
    })
    return path
  }
  return {
    possible: keeper.present,
    start: async (directory, signal) => {
      if (underWay) throw new AppError('failed_precondition', 'another upgrade is under way')
      underWay = true
      const program = await bring(directory, signal).catch((error: unknown) => {
        underWay = false
        announce(undefined)
        throw error
      })
      log.info({}, 'upgrade: this daemon hands over')
      handOver(ofNow(program))
    },
    serving: () => {
      servingSince = monotonicNow()
    },
    get report() {
      const since = underWay ? undefined : servingSince
      const outcome: Outcome = since === undefined ? { state: 'under_way' } : outcomeOf(deps, since)
      return { version: VERSION, commit: COMMIT, ...outcome }
    },
  }
}

type Outcome = Omit<UpgradeReport, 'version' | 'commit'>

function outcomeOf({ taken, before }: UpgradeDeps, servingSince: number): Outcome {
  if (before === undefined || !(taken.trial || taken.wentBack)) return { state: 'none' }
  const { version, commit, at } = before
  const pauseMs = Math.round(servingSince - at)
  if (taken.wentBack) return { state: 'went_back', pauseMs, reason: `the other daemon ${endText(taken.lastStatus)}` }
  return { state: 'upgraded', from: { version, commit }, pauseMs }
}
