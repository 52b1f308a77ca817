import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { Cause, type JobSchema, Limit, type OffsetsSchema, State } from '../gen/jobs/v1/jobs_pb.js'
import type { End, Usage } from '../process/exit-status.ts'
import type { KnownProcess } from '../process/known-process.ts'
import type { Offsets } from '../process/output-log.ts'
import type { LiveFigures } from '../process/seen-usage.ts'

/** What a process has taken so far. */
type TakenUsage = Omit<Usage, 'startedAt' | 'endedAt'> & Partial<LiveFigures>

const CAUSES: Readonly<Record<End['cause'], Cause>> = {
  exit: Cause.EXIT,
  signal: Cause.SIGNAL,
  out_of_memory: Cause.OUT_OF_MEMORY,
  deadline: Cause.DEADLINE,
  limit: Cause.LIMIT,
  daemon_stopped: Cause.DAEMON_STOPPED,
  unknown: Cause.UNKNOWN,
}

const LIMITS: Readonly<Record<End['limitsHit'][number], Limit>> = { memory: Limit.MEMORY, pids: Limit.PIDS }

/** How the text of a signal begins (contract D39). */
const SIGNAL = 'signal: '

/** The wire's form of a process. @param usage of one that runs, as far as it is known. */
export function toJob(process: KnownProcess, usage?: TakenUsage): MessageInitShape<typeof JobSchema> {
  const { pid, tag, about, output, startedAt, end } = process
  const { key, ...rest } = about
  return {
    ...{ pid, ...rest, args: [...rest.args] },
    ...(tag === undefined ? {} : { tag }),
    ...(key === undefined ? {} : { key }),
    state: end === undefined ? State.RUNNING : State.ENDED,
    started: timestampFromMs(startedAt),
    ...(end === undefined ? {} : endFields(end)),
    kept: toOffsets(output.range.oldest),
    produced: toOffsets(output.range.produced),
    ...usageFields(end?.usage ?? usage),
  }
}

/** The wire's form of a position in each stream. */
export function toOffsets({ stdout, stderr, pty }: Offsets): MessageInitShape<typeof OffsetsSchema> {
  return { stdout: BigInt(stdout), stderr: BigInt(stderr), pty: BigInt(pty) }
}

function endFields({ exitCode, status, cause, limitsHit, usage }: End) {
  return {
    ended: timestampFromMs(usage.endedAt),
    exitCode,
    status,
    ...(status.startsWith(SIGNAL) ? { signal: status.slice(SIGNAL.length) } : {}),
    cause: CAUSES[cause],
    limitsHit: limitsHit.map((limit) => LIMITS[limit]),
  }
}

function usageFields(usage: TakenUsage | undefined) {
  if (usage === undefined) return {}
  const { cpuSeconds, memory, peakMemory, bytesIn, bytesOut } = usage
  return {
    ...(cpuSeconds === undefined ? {} : { cpuSeconds }),
    ...(memory === undefined ? {} : { memoryBytes: BigInt(memory) }),
    ...(peakMemory === undefined ? {} : { peakMemoryBytes: BigInt(peakMemory) }),
    inputBytes: BigInt(bytesIn),
    outputBytes: BigInt(bytesOut),
  }
}
