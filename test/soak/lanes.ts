import { setTimeout as delay } from 'node:timers/promises'
import { seeded } from '../hostile/random.ts'
import type { Field, Traffic } from './field.ts'
import { remove } from './traffic/remove.ts'

/** What came of all runs. */
export interface Outcome {
  /** Runs of each kind. */
  readonly runs: Map<string, number>
  /** Runs that a crash or an upgrade cut off, with what was said of it. */
  readonly cut: string[]
  /** What was wrong; the traffic ends when it is too much. */
  readonly failures: string[]
}

/** When daemons were exchanged: grows before and after each, so it is odd meanwhile. */
export interface Exchanges {
  count: number
}

/** What follows says nothing new. */
const MOST_FAILURES = 20

/** Past this a run hangs: the longest takes a few seconds, and a frozen daemon adds some. */
const RUN_LIMIT_MS = 90_000

interface Lanes {
  readonly field: Omit<Field, 'random'>
  readonly kinds: readonly Traffic[]
  readonly seed: number
  readonly lanes: number
  /** Milliseconds between two runs of a lane, at most. */
  readonly pauseMs: number
  readonly exchanges: Exchanges
  readonly over: AbortSignal
}

/**
 * Runs traffic in lanes beside each other until it is over, or too much is wrong. A run that fails while the daemon was
 * exchanged is cut off, not wrong, unless its kind survives that.
 */
export async function runLanes(options: Lanes): Promise<Outcome> {
  const outcome: Outcome = { runs: new Map(), cut: [], failures: [] }
  await Promise.all(Array.from({ length: options.lanes }, (_, lane) => runLane(lane, options, outcome)))
  return outcome
}

async function runLane(lane: number, options: Lanes, outcome: Outcome): Promise<void> {
  const { kinds, seed, pauseMs, exchanges, over } = options
  const random = seeded(seed + lane)
  // Kinds that no run has had yet come first: each is run even in a short form.
  const first = kinds.filter((_, at) => at % options.lanes === lane)
  const total = kinds.reduce((sum, { weight = 1 }) => sum + weight, 0)
  const chosen = () => {
    let left = (random.int(1_000_000) / 1_000_000) * total
    return kinds.find(({ weight = 1 }) => {
      left -= weight
      return left < 0
    })
  }
  for (let run = 0; !over.aborted && outcome.failures.length < MOST_FAILURES; run++) {
    const kind = first.shift() ?? chosen()
    if (kind === undefined) continue
    const before = exchanges.count
    const id = `soak-${lane}-${run}`
    try {
      await limited(kind.run({ ...options.field, random }, id))
    } catch (error) {
      const exchanged = exchanges.count !== before || before % 2 === 1
      const said = exchanged && kind.survives !== true ? outcome.cut : outcome.failures
      said.push(`${kind.name} (lane ${lane}, run ${run}): ${error}`)
      // One that hangs removes nothing.
      if (said === outcome.cut) await remove(options.field.dir, id)
    }
    outcome.runs.set(kind.name, (outcome.runs.get(kind.name) ?? 0) + 1)
    await delay(random.int(pauseMs))
  }
}

async function limited(work: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = globalThis.setTimeout(() => reject(new Error('hangs')), RUN_LIMIT_MS)
  await Promise.race([work, promise]).finally(() => clearTimeout(timer))
}
