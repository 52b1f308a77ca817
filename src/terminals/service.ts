import type { Caller, StreamCaller } from '../calls/caller.ts'
import { AppError } from '../errors.ts'
import {
  type AttachRequest,
  type CloseRequest,
  type OpenRequest,
  ResizePolicy as Policy,
  type RecordRequest,
  type ResizeRequest,
  type Size,
  type Terminal as TerminalSelector,
  type WriteRequest,
} from '../gen/terminals/v1/terminals_pb.js'
import { baseName } from '../lib/clean-path.ts'
import { NEVER } from '../lib/never.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { Kills } from '../process/kills.ts'
import type { RunningProcess, TerminalSize } from '../process/process.ts'
import type { Registry } from '../process/registry.ts'
import type { ProcessService } from '../process/service.ts'
import { attach, type Wish } from './attachment.ts'
import type { ResizePolicy } from './clients.ts'
import { recording } from './recording.ts'
import type { Terminals } from './terminals.ts'

interface TerminalsDeps {
  readonly processes: Pick<ProcessService, 'run'>
  readonly registry: Registry
  readonly kills: Kills
  readonly terminals: Terminals
}

const DEFAULT_SIZE: TerminalSize = { columns: 80, rows: 24 }
const MAX_SIDE = 65_535
const DEFAULT_GRACE_MS = 500
const MAX_GRACE_MS = 60_000

/** The calls of `terminals.v1.Terminals`. Each rejects with AppError. */
export type TerminalsService = ReturnType<typeof createTerminalsService>

/** Makes the service: the terminals are those of `process.Process`, which lists them as well. */
export function createTerminalsService(deps: TerminalsDeps) {
  const { registry, kills, terminals } = deps
  const find = (selector: TerminalSelector | undefined) => findTerminal(selector, registry)
  const starting = new Map<string, Promise<RunningProcess>>()
  return {
    /**
     * Attaches to the terminal of that name, which is started if there is none; of calls at the same time one starts
     * it.
     */
    open: (request: OpenRequest, caller: StreamCaller) => openTerminal(request, { caller, deps, starting }),

    /** Attaches to a terminal that lives. */
    async attach(request: AttachRequest, caller: StreamCaller) {
      const from = request.resumeFrom === undefined ? undefined : Number(request.resumeFrom)
      const wish = toWish(request, from)
      const process = find(request.terminal)
      return { ...(await attach(terminals, { process, wish, user: caller.user ?? '' }, caller)), started: false }
    },

    /** An asciicast from now on. */
    async record({ terminal }: RecordRequest, caller: StreamCaller) {
      const wish: Wish = { size: undefined, policy: undefined, takeover: false, resumeFrom: undefined }
      const attachment = await attach(terminals, { process: find(terminal), wish, user: caller.user ?? '' }, caller)
      return { ...attachment, items: recording(attachment.items) }
    },

    /** All that live, oldest first. */
    async list() {
      return registry.list().flatMap((process) => (process.hasTerminal ? [infoOf(process, terminals)] : []))
    },

    /** Writes to a terminal, whole, unless another client has taken over. */
    async write({ terminal, client, data }: WriteRequest, caller: Caller) {
      const process = find(terminal)
      terminals.known(process)?.clients.checkWriter(client)
      await process.write('pty', data, caller)
      return {}
    },

    /** A client's window has another size. */
    resize: (request: ResizeRequest) => resizeWindow(request, find(request.terminal), terminals),

    /** Ends the session of a terminal; answers as `Kills.kill` does. */
    close: (request: CloseRequest, caller: Caller) => closeTerminal(request, find(request.terminal), kills, caller),
  }
}

function findTerminal(message: TerminalSelector | undefined, registry: Registry): RunningProcess {
  const selector = message?.selector
  if (selector?.case === undefined) throw new AppError('invalid_argument', 'neither pid nor name of a terminal is set')
  const process = registry.find(selector.case === 'pid' ? { pid: selector.value } : { tag: selector.value })
  checkTerminal(process)
  return process
}

function checkTerminal({ hasTerminal, pid }: RunningProcess): void {
  if (!hasTerminal) throw new AppError('failed_precondition', `process ${pid} runs in no terminal`)
}

interface Starting {
  readonly caller: StreamCaller
  readonly deps: TerminalsDeps
  /** By name; each lasts as long as a start. */
  readonly starting: Map<string, Promise<RunningProcess>>
}

async function openTerminal(request: OpenRequest, context: Starting) {
  const { caller, deps, starting } = context
  const wish = toWish(request, undefined)
  const { name } = request
  if (name === '') throw new AppError('invalid_argument', 'a terminal needs a name')
  let process = deps.registry.findLive({ tag: name })
  const underWay = process === undefined ? starting.get(name) : undefined
  const started = process === undefined && underWay === undefined
  if (underWay !== undefined) process = await raceAbort(underWay, caller.signal)
  if (process === undefined) {
    // Nothing is waited for between the look and this, so that two calls do not both start it.
    const start = startTerminal(request, wish.size ?? DEFAULT_SIZE, context)
    starting.set(name, start)
    process = await start.finally(() => starting.delete(name))
  }
  if (started && !process.hasTerminal)
    throw new AppError('failed_precondition', 'the command of the terminal cannot be run')
  checkTerminal(process)
  const attachment = await attach(deps.terminals, { process, wish, user: caller.user ?? '' }, caller)
  return { ...attachment, started }
}

function resizeWindow({ client, size }: ResizeRequest, process: RunningProcess, terminals: Terminals) {
  const wanted = toSize(size)
  if (wanted === undefined) throw new AppError('invalid_argument', 'no size is set')
  const known = terminals.known(process)
  if (known === undefined) throw new AppError('not_found', `client ${client} is not attached to the terminal`)
  known.clients.resize(client, wanted)
  terminals.fit(process, known.clients)
  return { size: process.size }
}

async function closeTerminal({ graceMs }: CloseRequest, process: RunningProcess, kills: Kills, { signal }: Caller) {
  if (graceMs > MAX_GRACE_MS) throw new AppError('invalid_argument', `grace_ms must be at most ${MAX_GRACE_MS}`)
  await kills.kill(process, { signal: 'SIGTERM', grace: graceMs || DEFAULT_GRACE_MS, scope: 'session' }, signal)
  return {}
}

/**
 * Starts the command of a terminal; the deadline of the call is not its own, and who leaves does not call off a start
 * that others wait for.
 */
async function startTerminal(request: OpenRequest, size: TerminalSize, { caller, deps }: Omit<Starting, 'starting'>) {
  const { name, command, args, envs, cwd } = request
  const config = {
    cmd: command || '/bin/bash',
    args: command === '' ? ['-i', '-l', ...args] : args,
    envs: { TERM: 'xterm-256color', ...envs },
    cwd: cwd === '' ? undefined : cwd,
  }
  const user = request.user === '' ? caller.user : request.user
  const start = { config, tag: name, terminal: size, stdin: true, replay: false }
  const { process, reader } = await deps.processes.run(start, { ...caller, user, deadline: undefined, signal: NEVER })
  // The screen takes its place: from the first byte on, which is still kept.
  void deps.terminals.use(process, caller.user ?? '').then(
    ({ leave }) => {
      leave()
      reader.close()
    },
    () => reader.close(),
  )
  return process
}

const POLICIES: Readonly<Record<Policy, ResizePolicy | undefined>> = {
  [Policy.UNSPECIFIED]: undefined,
  [Policy.NEWEST]: 'newest',
  [Policy.SMALLEST]: 'smallest',
}

function toWish(
  {
    size,
    resizePolicy,
    takeover,
  }: { readonly size?: Size | undefined; readonly resizePolicy: Policy; readonly takeover: boolean },
  resumeFrom: number | undefined,
): Wish {
  return { size: toSize(size), policy: POLICIES[resizePolicy], takeover, resumeFrom }
}

function toSize(size: Size | undefined): TerminalSize | undefined {
  if (size === undefined) return undefined
  const { columns, rows } = size
  if ([columns, rows].some((side) => side < 1 || side > MAX_SIDE))
    throw new AppError('invalid_argument', `a size must have 1 to ${MAX_SIDE} columns and rows`)
  return { columns, rows }
}

function infoOf(process: RunningProcess, terminals: Terminals) {
  const known = terminals.known(process)
  return {
    pid: process.pid,
    name: process.tag ?? '',
    command: baseName(process.config.cmd),
    size: process.size,
    clients: known?.clients.count ?? 0,
    offset: BigInt(process.output.offset('pty')),
    title: known?.feed.title ?? '',
    cwd: known?.feed.cwd ?? '',
  }
}
