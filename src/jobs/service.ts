import { setImmediate } from 'node:timers/promises'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { UnreadFrames } from '../budget/unread-frames.ts'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import {
  type Filter,
  type GetRequest,
  type JobSchema,
  type JobSelector,
  type KillRequest,
  type ListRequest,
  type ReadRequest,
  Scope,
  Signal,
  State,
  type WaitRequest,
  type WatchRequest,
  type WriteRequest,
} from '../gen/jobs/v1/jobs_pb.js'
import { createLock } from '../lib/lock.ts'
import { hasEnded } from '../process/has-ended.ts'
import type { Kills } from '../process/kills.ts'
import type { KnownProcess } from '../process/known-process.ts'
import type { StreamName } from '../process/output-log.ts'
import { RunningProcess } from '../process/process.ts'
import type { Registry } from '../process/registry.ts'
import { sessionOf } from '../process/session-pids.ts'
import type { SessionUsage } from '../process/session-usage.ts'
import type { SignalName } from '../process/terminate.ts'
import { type ChangeItem, type Described, JobChanges } from './changes.ts'
import { toJob } from './convert.ts'
import { openReading, type Reading } from './read.ts'

/** A job on its way to the wire. */
export type JobMessage = MessageInitShape<typeof JobSchema>

/** Bytes of a tail that Wait returns of each stream. */
const TAIL_BYTES = 4096
const MAX_TAIL_BYTES = 256 * 1024

/** A week, longer than any command is expected to run. */
const MAX_GRACE_MS = 7 * 86_400_000

const SIGNALS: ReadonlyMap<Signal, SignalName> = new Map([
  [Signal.UNSPECIFIED, 'SIGTERM'],
  [Signal.SIGINT, 'SIGINT'],
  [Signal.SIGKILL, 'SIGKILL'],
  [Signal.SIGTERM, 'SIGTERM'],
])

/** The calls of `jobs.v1.Jobs`. Each rejects with AppError. */
export type JobsService = ReturnType<typeof createJobsService>

interface JobsDeps {
  readonly registry: Registry
  readonly kills: Kills
  /** Figures of the running processes of the registry. */
  readonly usage: SessionUsage
  readonly unread: UnreadFrames
}

/** Makes the service. Jobs are what the registry knows. */
export function createJobsService({ registry, kills, usage, unread }: JobsDeps) {
  const find = (selector: JobSelector | undefined) => findJob(selector, registry)
  const current = (process: KnownProcess) => currentJob(process, usage)
  const changes = new JobChanges({ registry, unread, toJob })
  const answering = createLock()
  return {
    /** Returns a job as it is now, also what it has taken so far. */
    current,

    /** One job as it is now. */
    async get({ job }: GetRequest) {
      return { job: await current(await find(job)) }
    },

    /** Those that match, newest first, one at a time. */
    list: ({ filter }: ListRequest) => listJobs(registry, matching(filter), current),

    /** The job at its end, or after the time. */
    async wait({ job, timeoutMs, tailBytes = TAIL_BYTES }: WaitRequest, { signal }: Caller) {
      if (tailBytes > MAX_TAIL_BYTES)
        throw new AppError('invalid_argument', `tail_bytes must be 0 to ${MAX_TAIL_BYTES}: Read streams more`)
      const process = await find(job)
      const milliseconds = timeoutMs ?? Number.POSITIVE_INFINITY
      await hasEnded(process, registry, { milliseconds, signal })
      const now = await current(process)
      const release = await answering.acquire(signal)
      const tail = (stream: StreamName) => process.output.tail(tailBytes, stream)
      // Of many that wait for the same end each in its own turn of the event loop, in which its answer is counted.
      void setImmediate().then(release)
      return { job: now, stdout: tail('stdout'), stderr: tail('stderr'), pty: tail('pty') }
    },

    /** Opens the output of a job. */
    async read(request: ReadRequest, caller: StreamCaller): Promise<{ process: KnownProcess; reading: Reading }> {
      const { from, follow } = request
      const process = await find(request.job)
      const position = from === undefined ? 'oldest' : numbersOf(from)
      const [head, tail] = [optionalNumber(request.head), optionalNumber(request.tail)]
      return { process, reading: openReading(process.output, { from: position, follow, head, tail }, caller.signal) }
    },

    /** Writes input; answers when it is written. */
    write: async (request: WriteRequest, caller: Caller) => writeInput(request, await find(request.job), caller),

    /** Signals and waits for the end; a job that has ended is no error. */
    async kill({ job, signal, graceMs: grace, scope }: KillRequest, caller: Caller) {
      const name = SIGNALS.get(signal)
      if (name === undefined) throw new AppError('invalid_argument', `unknown signal ${signal}`)
      if (scope !== Scope.UNSPECIFIED && scope !== Scope.SESSION && scope !== Scope.LEADER)
        throw new AppError('invalid_argument', `unknown scope ${scope}`)
      if (grace > MAX_GRACE_MS) throw new AppError('invalid_argument', `grace_ms must be 0 to ${MAX_GRACE_MS}`)
      const process = await find(job)
      const plan = { signal: name, grace, scope: scope === Scope.LEADER ? 'leader' : 'session' } as const
      const live = running(process)
      if (live !== undefined) await kills.kill(live, plan, caller.signal)
      return { job: await current(process), left: await sessionOf(process.pid) }
    },

    /** Jobs that start and end from now on. */
    watch({ filter }: WatchRequest, caller: StreamCaller): AsyncGenerator<readonly ChangeItem<JobMessage>[], void> {
      return changes.watch(matching(filter), caller)
    },
  }
}

/** The process if it runs. */
function running(process: KnownProcess): RunningProcess | undefined {
  return process instanceof RunningProcess && process.end === undefined ? process : undefined
}

async function currentJob(process: KnownProcess, usage: SessionUsage): Promise<JobMessage> {
  const live = running(process)
  if (live !== undefined && !live.hasOwnGroup) await usage.look()
  return toJob(process, await live?.usage())
}

async function findJob(selector: JobSelector | undefined, registry: Registry): Promise<KnownProcess> {
  const which = selector?.selector
  if (which?.case === 'pid') return registry.findOrRetained({ pid: which.value })
  if (which?.case === 'tag') return registry.findOrRetained({ tag: which.value })
  if (which?.case !== 'key') throw new AppError('invalid_argument', 'the job is missing: name it by pid, tag or key')
  const pid = await registry.keys.pidOf(which.value)
  if (pid === undefined) throw new AppError('not_found', `job with key ${which.value} not found`)
  return registry.findOrRetained({ pid })
}

async function* listJobs(
  registry: Registry,
  matches: (described: Described) => boolean,
  current: (process: KnownProcess) => Promise<JobMessage>,
): AsyncGenerator<JobMessage[], void> {
  const all = [...registry.list(), ...registry.exits()].filter((process) => matches(describe(process)))
  for (const process of all.sort((one, other) => other.startedAt - one.startedAt)) yield [await current(process)]
}

function describe({ end, tag, about }: KnownProcess): Described {
  return { running: end === undefined, tag, user: about.user }
}

function matching(filter: Filter | undefined): (described: Described) => boolean {
  const { state = State.UNSPECIFIED, tag, user } = filter ?? {}
  if (state !== State.UNSPECIFIED && state !== State.RUNNING && state !== State.ENDED)
    throw new AppError('invalid_argument', `unknown state ${state}`)
  return (described) => {
    if (state !== State.UNSPECIFIED && (state === State.RUNNING) !== described.running) return false
    if (tag !== undefined && tag !== described.tag) return false
    return user === undefined || user === described.user
  }
}

async function writeInput({ data, offset, eof }: WriteRequest, process: KnownProcess, caller: Caller) {
  const live = running(process)
  if (live === undefined) throw new AppError('failed_precondition', 'the job has ended')
  const kind = live.hasTerminal ? 'pty' : 'stdin'
  if (data.length > 0 || !eof) await live.write(kind, data, caller, optionalNumber(offset))
  if (eof) await live.closeStdin(caller.signal)
  return { written: BigInt((await live.usage()).bytesIn) }
}

function optionalNumber(value: bigint | undefined): number | undefined {
  return value === undefined ? undefined : Number(value)
}

function numbersOf({ stdout, stderr, pty }: Readonly<Record<StreamName, bigint>>) {
  return { stdout: Number(stdout), stderr: Number(stderr), pty: Number(pty) }
}
