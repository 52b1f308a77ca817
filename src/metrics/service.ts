import { setImmediate } from 'node:timers/promises'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import { type ListRequest, type SampleSchema, Source, type WatchRequest } from '../gen/metrics/metrics_pb.js'
import { HISTORY_SAMPLES, type History } from './history.ts'
import type { Sample } from './sample.ts'
import type { Sampler } from './sampler.ts'

/** One item of a stream of samples. */
export type MetricsItem = { readonly kind: 'sample'; readonly sample: Sample } | { readonly kind: 'keepalive' }

type SampleMessage = MessageInitShape<typeof SampleSchema>

/** The calls of `metrics.Metrics`. */
export type MetricsService = ReturnType<typeof createMetricsService>

/** Samples that are turned into messages before other work gets a turn: less than a millisecond. */
const SAMPLES_PER_TURN = 50

/** Makes the service. It only reads what the sampler has taken. */
export function createMetricsService({ sampler }: { readonly sampler: Sampler }) {
  const { history } = sampler
  return {
    /** The latest sample; AppError `internal` while a source fails. */
    async get(_request: unknown, { signal }: Caller) {
      return { sample: toMessage(await sampler.current(signal)) }
    },

    /**
     * The samples in the request's range, oldest first, in pieces. Those that are not kept any more when it is their
     * turn are left out.
     */
    async *list({ from, to, limit }: ListRequest): AsyncGenerator<SampleMessage[], void> {
      const start = milliseconds(from) ?? Number.NEGATIVE_INFINITY
      const end = milliseconds(to) ?? Number.POSITIVE_INFINITY
      if (start > end) throw new AppError('invalid_argument', 'from must not be later than to')
      const numbers = history.between(start, end).slice(limit === 0 ? 0 : -limit)
      for (let at = 0; at < numbers.length; at += SAMPLES_PER_TURN) {
        const samples = numbers.slice(at, at + SAMPLES_PER_TURN).flatMap((number) => history.at(number) ?? [])
        yield samples.map(toMessage)
      }
    },

    /**
     * Samples from a time on (or the latest), then each as it is taken. Ends with its caller, or with
     * `resource_exhausted` an hour behind.
     */
    async *watch({ from }: WatchRequest, caller: StreamCaller): AsyncGenerator<MetricsItem, void> {
      const start = milliseconds(from)
      let next = history.end
      const replayed = start === undefined ? [next - 1] : history.between(start, Number.POSITIVE_INFINITY)
      for (const [index, number] of replayed.entries()) {
        if (index % SAMPLES_PER_TURN === SAMPLES_PER_TURN - 1) await setImmediate()
        caller.signal.throwIfAborted()
        if (number >= 0) yield { kind: 'sample', sample: kept(history, number) }
      }
      for (;;) {
        if (await sampler.hasSample(next, caller.keepalive, caller.signal))
          yield { kind: 'sample', sample: kept(history, next++) }
        else yield { kind: 'keepalive' }
      }
    },
  }
}

/** A sample as it travels. A new field of the message does not compile until it is here. */
export function toMessage(sample: Sample): Required<Omit<SampleMessage, `$${string}`>> {
  const source = (fromGroup: number) => (fromGroup === 1 ? Source.CGROUP : Source.HOST)
  return {
    timestamp: timestampFromMs(sample.time),
    cpuCount: sample.cpuCount,
    cpuLimit: sample.cpuLimit,
    cpuUsedPct: sample.cpuUsedPct,
    cpuSeconds: sample.cpuSeconds,
    cpuSource: source(sample.cpuFromGroup),
    memTotal: BigInt(sample.memTotal),
    memUsed: BigInt(sample.memUsed),
    memCache: BigInt(sample.memCache),
    memSource: source(sample.memFromGroup),
    oomKills: BigInt(sample.oomKills),
    diskUsed: BigInt(sample.diskUsed),
    diskTotal: BigInt(sample.diskTotal),
    load1m: sample.load1,
    load5m: sample.load5,
    load15m: sample.load15,
    processCount: sample.processCount,
    watcherCount: sample.watcherCount,
    commandCount: sample.commandCount,
    watchEventsDropped: BigInt(sample.watchEventsDropped),
    watchOverflows: BigInt(sample.watchOverflows),
    daemonMemory: BigInt(sample.daemonMemory),
    uptime: sample.uptime,
    ioReadBytes: BigInt(sample.ioReadBytes),
    ioWrittenBytes: BigInt(sample.ioWrittenBytes),
    serviceRestarts: BigInt(sample.serviceRestarts),
  }
}

function milliseconds(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : timestampMs(time)
}

/** The sample of a stream that is not too far behind. */
function kept(history: History, number: number): Sample {
  const sample = history.at(number)
  if (sample !== undefined) return sample
  const missed = history.start - number
  throw new AppError(
    'resource_exhausted',
    `the stream was ended because ${missed} samples were not taken in time: ${HISTORY_SAMPLES} are kept`,
  )
}
