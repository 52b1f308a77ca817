import { setImmediate } from 'node:timers/promises'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import { Level, type ReadRequest, type ReadResponseSchema } from '../gen/logs/v1/logs_pb.js'
import { loopTurns } from '../lib/turns.ts'
import { LOG_LEVELS, type LogLevel } from '../log.ts'
import { randomUuid } from '../native/random.ts'
import type { RecentLines } from './recent-lines.ts'

type Event = NonNullable<MessageInitShape<typeof ReadResponseSchema>['event']>

/** The calls of `logs.v1.Logs`. */
export type LogsService = ReturnType<typeof createLogsService>

/** Lines that are looked at before other work gets a turn: less than a millisecond. */
const LINES_PER_TURN = 50

const LEVELS: Readonly<Record<LogLevel, Level>> = {
  debug: Level.DEBUG,
  info: Level.INFO,
  warn: Level.WARN,
  error: Level.ERROR,
}

/** Makes the service. It does nothing without readers. */
export function createLogsService(recent: RecentLines) {
  const run = randomUuid()
  return {
    /**
     * The start, then lines, in order. Throws `out_of_range` for a number beyond the next line of this run and
     * `invalid_argument` for an unknown level; rejects with the reason of the caller's signal.
     */
    async *read(request: ReadRequest, { keepalive, signal }: StreamCaller): AsyncGenerator<Event, void> {
      const lowest = lowestOf(request)
      let number = firstOf(request, run, recent)
      let until = recent.end
      yield { case: 'start', value: { run, first: BigInt(number), next: BigInt(until) } }
      for (;;) {
        if (number < recent.start) {
          const missed = recent.start - number
          if (recent.hasLost(number, lowest)) yield { case: 'dropped', value: { lines: BigInt(missed) } }
          number += missed
        }
        for (; number < until; number++) {
          if (number % LINES_PER_TURN === LINES_PER_TURN - 1) await setImmediate()
          signal.throwIfAborted()
          const kept = recent.at(number)
          if (kept === undefined) break
          if (LEVELS[kept.level] < LEVELS[lowest]) continue
          const json = kept.line.text().trimEnd()
          yield { case: 'line', value: { number: BigInt(number), level: LEVELS[kept.level], json } }
        }
        if (number >= until && !request.follow) return
        if (number >= recent.end && !(await recent.hasLine(number, lowest, keepalive, signal)))
          yield { case: 'keepalive', value: {} }
        // One line may be for thousands.
        await loopTurns.turn(signal)
        if (request.follow) until = recent.end
      }
    },
  }
}

function lowestOf({ level }: ReadRequest): LogLevel {
  if (level === Level.UNSPECIFIED) return 'debug'
  for (const known of LOG_LEVELS) if (LEVELS[known] === level) return known
  throw new AppError('invalid_argument', `unknown level ${level}`)
}

function firstOf({ from, run }: ReadRequest, current: string, recent: RecentLines): number {
  if (from === undefined || (run !== undefined && run !== current)) return recent.start
  if (from > BigInt(recent.end)) throw new AppError('out_of_range', 'from is beyond the next line of this run')
  return Math.max(Number(from), recent.start)
}
