import type { ByteBudget } from '../budget/budget.ts'
import { type Caller, isLegacy, type StreamCaller } from '../calls/caller.ts'
import type { StartGate } from '../cgroups/freeze/start-gate.ts'
import { AppError } from '../errors.ts'
import {
  type CloseStdinRequest,
  type ConnectRequest,
  type SendInputRequest,
  type SendSignalRequest,
  Signal,
  type StartRequest,
  type StreamInputRequest,
  type UpdateRequest,
} from '../gen/process/process_pb.js'
import type { Deposit } from '../keeper/keeper.ts'
import { errorFields } from '../lib/error-fields.ts'
import { longTimeout } from '../lib/long-timeout.ts'
import { NEVER } from '../lib/never.ts'
import { startTimeOf } from '../lib/proc-pid.ts'
import type { Log } from '../log.ts'
import { selectUser } from '../users/paths.ts'
import { abandon } from './abandon.ts'
import { type AdoptRequest, adopt } from './adopt.ts'
import { commandGroup } from './command-group.ts'
import { commandBytes, holdCommand } from './command-memory.ts'
import { toConfig, toInfo, toInput, toOffsets, toSelector, toSize } from './convert.ts'
import type { Followed } from './follow.ts'
import { type LaunchDeps, type LaunchRequest, launch } from './launch.ts'
import type { Launched } from './launched.ts'
import { limitsOfHeaders } from './limits.ts'
import { logEnd } from './log-end.ts'
import { logStart } from './log-start.ts'
import { tailBytes } from './output-cut.ts'
import type { Offsets, StreamName } from './output-log.ts'
import type { OutputReader } from './output-reader.ts'
import { RunningProcess } from './process.ts'
import { MAX_PROCESSES, type Registry } from './registry.ts'
import { type RestoredRun, restoreAll } from './restore-all.ts'
import { startDigest } from './start-digest.ts'
import { startError } from './start-failure.ts'
import { idempotencyKey } from './start-keys.ts'

interface ProcessServiceDeps extends LaunchDeps {
  readonly registry: Registry
  readonly budget: ByteBudget
  readonly gate: Pick<StartGate, 'enter'>
  /** Streams say where their output stands, and can be resumed there. */
  readonly outputResume: boolean
  readonly log: Log
}

/** What to start; as whom, the caller says. */
type CommandRequest = Omit<LaunchRequest, 'user' | 'signal'>

/** A process that was just started, and a reader that was there before its first byte. */
interface Running {
  readonly process: RunningProcess
  readonly reader: OutputReader
}

/** The calls of `process.Process`, free of any protocol: requests in, replies or a process to follow out; AppErrors. */
export type ProcessService = ReturnType<typeof createProcessService>

/** Makes the service; the registry it is given outlives it and is emptied by the one that stops the daemon. */
export function createProcessService(deps: ProcessServiceDeps) {
  const { registry, log } = deps
  const runs = new Map<string, RestoredRun>()
  return {
    /** Every live process, one at a time: each may have megabytes of arguments, of which this makes copies. */
    *list() {
      for (const process of registry.list()) yield toInfo(process)
    },

    /**
     * A process of the caller's own, or a recent exit; what a reader gets begins where it asks for (contract N22), else
     * now (D27, D34), or for a process that is replayed with the oldest output that is kept.
     */
    connect: async (request: ConnectRequest, caller: StreamCaller): Promise<Followed> => connect(request, caller, deps),

    /**
     * Starts a command, or follows the one that was started with the same `Idempotency-Key`, from the oldest output
     * that is kept. Its life does not depend on the caller's, but the deadline of the caller who started it is its own
     * as well.
     */
    start: (request: StartRequest, caller: StreamCaller): Promise<Followed> => startFor(request, caller, deps),

    /** The same for the daemon itself, which has no message. The reader is the caller's to close. */
    run: (command: CommandRequest, caller: StreamCaller) => start(command, caller, deps),

    /** Takes over what an earlier daemon started (`adopt`); undefined: it is not there any more. */
    async adopt(request: AdoptRequest): Promise<RunningProcess | undefined> {
      const restored = registry.list().find(({ pid }) => pid === request.pid)
      if (restored !== undefined) return (await startTimeOf(request.pid)) === request.startTime ? restored : undefined
      const launched = await adopt(request, deps)
      if (launched === undefined) return undefined
      const process = new RunningProcess(launched, (ended, end) => registry.retire(ended, end))
      registry.add(process)
      log.info({ pid: process.pid, output: launched.sources.length > 0 }, 'process_adopt')
      return process
    },

    /** Goes on with what the keeper has of processes that an earlier daemon started. */
    restore(deposits: readonly Deposit[]): void {
      for (const [service, run] of restoreAll(deposits, deps)) runs.set(service, run)
      deps.groups.removeLeft()
    },

    /** The run of a service that was restored, once; undefined: there is none. */
    takeRun(service: string): RestoredRun | undefined {
      const run = runs.get(service)
      runs.delete(service)
      return run
    },

    /** Changes what can be changed while it runs: the size of its terminal. */
    async update(request: UpdateRequest) {
      const process = registry.find(toSelector(request.process))
      if (request.pty?.size !== undefined) process.resize(toSize(request.pty))
      return {}
    },

    /** Writes every input of the stream, in order; the first failure ends it (contract D52, D53). */
    streamInput: (requests: AsyncIterable<StreamInputRequest>, caller: Caller) =>
      streamInput(requests, caller, registry),

    /** Writes one input and answers when all of it is written. */
    async sendInput(request: SendInputRequest, caller: Caller) {
      const process = registry.find(toSelector(request.process))
      const { kind, bytes } = toInput(request.input)
      await process.write(kind, bytes, caller)
      return {}
    },

    /**
     * Signals the session; the answer says that the leader has its signal and that all others get it, not that it had
     * an effect (contract D57).
     */
    sendSignal: (request: SendSignalRequest, caller: Caller) => sendSignal(request, caller, deps),

    /** End of file for a process that reads a pipe; a second time is no error (contract D55). */
    async closeStdin(request: CloseStdinRequest, caller: Caller) {
      await registry.find(toSelector(request.process)).closeStdin(caller.signal)
      return {}
    },
  }
}

async function startFor(request: StartRequest, caller: StreamCaller, deps: ProcessServiceDeps): Promise<Followed> {
  const limits = limitsOfHeaders(caller.header)
  const { tag, stdin = true } = request
  const terminal = request.pty === undefined ? undefined : toSize(request.pty)
  const key = idempotencyKey(caller.header)
  const command = { config: toConfig(request.process), tag, key, terminal, stdin, replay: false, limits }
  const resumable = isResumable(caller, deps)
  if (key === undefined) return { ...(await start(command, caller, deps)), deadline: caller.deadline, resumable }
  const digest = await startDigest(command, caller.user ?? deps.defaults.user)
  const begin = () => start({ ...command, digest }, caller, deps)
  const done = await deps.registry.keys.once({ key, digest, signal: caller.signal }, begin)
  if ('begun' in done) return { ...done.begun, deadline: caller.deadline, resumable }
  const process = deps.registry.findOrRetained({ pid: done.pid })
  deps.log.info({ pid: process.pid, operation_id: caller.operationId }, 'a start was repeated')
  return { process, reader: process.output.reader(caller.signal, 'oldest'), resumable, replayed: true }
}

type ResumeDeps = Pick<ProcessServiceDeps, 'registry' | 'outputResume'>

function connect(request: ConnectRequest, caller: StreamCaller, deps: ResumeDeps): Followed {
  const { resumeFrom } = request
  if (resumeFrom !== undefined && !deps.outputResume)
    throw new AppError('unimplemented', 'output cannot be resumed: -output-resume=false')
  const process = deps.registry.findOrRetained(toSelector(request.process))
  const from = resumeFrom === undefined ? plainStart(process) : toOffsets(resumeFrom)
  return { process, reader: process.output.reader(caller.signal, from), resumable: isResumable(caller, deps) }
}

/** Where a reader begins that does not say where. */
function plainStart({ replay, reconnect, output }: ReturnType<Registry['findOrRetained']>): 'oldest' | 'now' | Offsets {
  if (replay) return 'oldest'
  if (reconnect === undefined || performance.now() > reconnect.until) return 'now'
  const { oldest } = output.range
  const at = (stream: StreamName) => Math.max(oldest[stream], reconnect.offsets[stream])
  return { stdout: at('stdout'), stderr: at('stderr'), pty: at('pty') }
}

function isResumable(caller: Caller, { outputResume }: Pick<ProcessServiceDeps, 'outputResume'>): boolean {
  return outputResume && !isLegacy(caller)
}

async function streamInput(requests: AsyncIterable<StreamInputRequest>, caller: Caller, registry: Registry) {
  let process: RunningProcess | undefined
  for await (const { event } of requests) {
    if (event.case === undefined) throw new AppError('unimplemented', 'invalid event type <nil>')
    if (event.case === 'start') process = registry.find(toSelector(event.value.process))
    if (event.case !== 'data') continue
    if (process === undefined)
      throw new AppError('failed_precondition', 'input came before the start event that names the process')
    const { kind, bytes } = toInput(event.value.input)
    await process.write(kind, bytes, caller)
  }
  return {}
}

async function sendSignal(request: SendSignalRequest, caller: Caller, { registry, log }: ProcessServiceDeps) {
  const process = registry.find(toSelector(request.process))
  if (request.signal !== Signal.SIGTERM && request.signal !== Signal.SIGKILL) {
    const name = request.signal === Signal.UNSPECIFIED ? 'SIGNAL_UNSPECIFIED' : request.signal
    throw new AppError('unimplemented', `invalid signal: ${name}`)
  }
  // A caller that goes away must not leave half a session behind.
  const { refused } = process.signal(request.signal === Signal.SIGKILL ? 'SIGKILL' : 'SIGTERM', NEVER)
  if (refused !== undefined) throw refused
  log.info({ pid: process.pid, operation_id: caller.operationId, signal: Signal[request.signal] }, 'process signalled')
  return {}
}

async function start(command: CommandRequest, caller: StreamCaller, deps: ProcessServiceDeps): Promise<Running> {
  const group = commandGroup(command)
  const leave = group === undefined ? undefined : await deps.gate.enter(group, caller.signal, () => startError(command))
  try {
    return await startNow(command, caller, deps)
  } finally {
    leave?.()
  }
}

async function startNow(command: CommandRequest, caller: StreamCaller, deps: ProcessServiceDeps): Promise<Running> {
  const { registry, log, users, defaults } = deps
  if (registry.size >= MAX_PROCESSES) throw new AppError('resource_exhausted', `${MAX_PROCESSES} processes run already`)
  const user = await selectUser(users, caller.user, defaults.user, recent(caller.since))
  const { config, terminal } = command
  const started = performance.now()
  const timeout = caller.deadline === undefined ? undefined : Math.round(caller.deadline - started)
  // The daemon's own commands have no request, and must not depend on what clients hold.
  const described = caller.operationId === undefined ? 0 : commandBytes(config, command.tag)
  const bytes = described + tailBytes(command.limits?.outputMax, terminal === undefined ? 2 : 1)
  const hold = holdCommand(deps.budget, { bytes, user: user.name })
  const request = { ...command, user, signal: caller.signal, deadline: caller.deadline }
  const { launched, reader } = await launch(request, deps).catch((error) => {
    hold.release()
    throw error
  })
  const process = follow(launched, registry, () => {
    reader.close()
    hold.release()
  })
  registry.add(process)
  logStart(process, request, { log, operationId: caller.operationId, timeout })
  endAtDeadline(process, caller, log)
  logEnd(process, { log, operationId: caller.operationId, age: () => performance.now() - started })
  void process.ended.then(() => hold.release())
  return { process, reader }
}

/** A start may have waited, for a thaw or for another one with its key, and its user has become another one. */
const LOOK_AGE_MS = 10

function recent(since: number | undefined): number | undefined {
  return since !== undefined && performance.now() - since < LOOK_AGE_MS ? since : undefined
}

/** Nothing is left of a command that cannot be followed. */
function follow(launched: Launched, registry: Registry, release: () => void): RunningProcess {
  try {
    return new RunningProcess(launched, (ended, end) => registry.retire(ended, end))
  } catch (error) {
    release()
    throw abandon(launched, error)
  }
}

/**
 * How much later than the starting stream the command ends, so that its client receives `deadline_exceeded`, not the
 * kill.
 */
const DEADLINE_MARGIN_MS = 10

/** The deadline of the starting call is the command's own: it holds when the client has long gone (contract D22). */
function endAtDeadline(process: RunningProcess, { deadline }: StreamCaller, log: Log): void {
  if (deadline === undefined) return
  const kill = () => {
    log.info({ pid: process.pid }, 'process reached its deadline')
    const { refused } = process.signal('SIGKILL', NEVER, 'deadline')
    if (refused === undefined) return
    log.error({ pid: process.pid, ...errorFields(refused) }, 'process could not be killed at its deadline')
  }
  const cancel = longTimeout(deadline - performance.now() + DEADLINE_MARGIN_MS, kill)
  void process.ended.then(cancel)
}
