import { constants } from 'node:os'
import type { LimitedGroup, MadeGroup } from '../cgroups/limited-group.ts'
import { AppError } from '../errors.ts'
import { loopTurns } from '../lib/turns.ts'
import { type ChildDeposit, type Spawned, SpawnFailure, type SpawnSpec, spawn } from '../native/index.ts'
import type { Defaults } from '../users/defaults.ts'
import { resolvePath } from '../users/paths.ts'
import type { User, Users } from '../users/users.ts'
import { killUnfollowed, unfollowed } from './abandon.ts'
import { commandGroup } from './command-group.ts'
import { checkConfig, environmentOf, hasTooLongWord } from './command-line.ts'
import type { Deposits } from './deposits.ts'
import { InputQueue } from './input-queue.ts'
import { type Keeping, keepProcess } from './keep-process.ts'
import { aboutOf } from './known-process.ts'
import type { Launched } from './launched.ts'
import type { CommandLimits } from './limits.ts'
import { type NotRun, notRun, say } from './not-run.ts'
import type { OomWitness } from './oom-witness.ts'
import { openStdio } from './open-stdio.ts'
import { OutputLog } from './output-log.ts'
import type { OutputReader } from './output-reader.ts'
import type { OutputWindow } from './output-window.ts'
import { makeOwnGroup } from './own-group.ts'
import type { ProcessConfig, TerminalSize } from './process.ts'
import type { ProcessDeposit } from './process-deposit.ts'
import type { ServiceRun } from './process-record.ts'
import type { SlabPool } from './slab-pool.ts'
import { type CommandGroups, spawnInGroup } from './spawn-in-group.ts'
import { isExhaustion, startFailure } from './start-failure.ts'
import type { Stdio } from './stdio.ts'

/** What to start and as whom. */
export interface LaunchRequest {
  readonly config: ProcessConfig
  readonly tag: string | undefined
  /** Its `Idempotency-Key`. */
  readonly key?: string | undefined
  /** What that key stands for (`startDigest`). */
  readonly digest?: string | undefined
  /** See `Launched.replay`. */
  readonly replay: boolean
  /** It is the command of a service, which the next daemon takes over. */
  readonly run?: ServiceRun | undefined
  /** Its output goes on when the daemon has died: it waits in the pipes for the next one. Without a terminal only. */
  readonly outlives?: boolean
  /** One of many of its kind: its start and end are logged on the level debug. */
  readonly routine?: boolean
  /**
   * Descriptor of the directory of a cgroup of its own, open until it has started; where that refuses it, it goes where
   * others go.
   */
  readonly cgroup?: number | undefined
  /** Limits of this command alone. */
  readonly limits?: CommandLimits
  /** When it will be killed, on the clock of performance.now(). */
  readonly deadline?: number | undefined
  readonly user: User
  /** Present: in a terminal of that size. */
  readonly terminal: TerminalSize | undefined
  /** Without a terminal: a pipe, or end of file at once. */
  readonly stdin: boolean
  /** The starting client; its reader is there before the first byte. */
  readonly signal: AbortSignal
}

export interface LaunchDeps {
  readonly users: Users
  readonly defaults: Defaults
  readonly window: OutputWindow
  readonly pool: SlabPool
  /** PATH of commands. */
  readonly path: string
  readonly noFile: number | undefined
  readonly readerStall: number
  /** An open descriptor of /dev/null. */
  readonly devNull: number
  /** Where processes are kept for the next daemon; undefined: nowhere. */
  readonly deposits: Deposits | undefined
  readonly groups: CommandGroups
  readonly oom: OomWitness
}

/** Commands are the first to go when memory runs out, and yield to the daemon (contract D2). */
const OOM_SCORE_ADJ = 100
const NICE = 0
/** ioprio_set(2): class best-effort, level 4. */
const IO_PRIORITY = (2 << 13) | 4

/**
 * Starts a command in a session of its own. A program that cannot be run is no error: it "ran", said so on stderr and
 * exited with 126 or 127, as under a shell (contract D4). Throws `invalid_argument` for what the request got wrong,
 * `failed_precondition` for limits that cannot be had here, `permission_denied` for another user where the daemon may
 * not become that one, `resource_exhausted` where descriptors, processes, terminals or memory ran out, `internal` where
 * the system refuses what every start takes; the signal's reason when it has aborted before the fork (contract N3).
 */
export async function launch(
  request: LaunchRequest,
  deps: LaunchDeps,
): Promise<{ launched: Launched; reader: OutputReader }> {
  const { config, user } = request
  checkConfig(config)
  const cwd = resolvePath(config.cwd ?? '', user, deps.defaults.workdir)
  const isHome = !config.cwd && !deps.defaults.workdir
  if (hasTooLongWord(config))
    throw await startFailure(request, cwd, new SpawnFailure('exec', constants.errno.E2BIG, 'E2BIG', 0))
  const identity = await identityOf(user, deps.users)
  request.signal.throwIfAborted()
  const group = await makeOwnGroup(request, deps.groups)
  const oom = deps.oom.begin()
  try {
    const spawned = await spawnWith(request, { cwd, isHome, identity, group, deps })
    return { launched: { ...handOver({ ...spawned, request, cwd, group, deps }), oom }, reader: spawned.reader }
  } catch (error) {
    oom.end()
    group?.removeOnceEmpty()
    throw error
  } finally {
    await group?.close()
  }
}

/** The descriptors and the output log are closed again if it fails. */
async function spawnWith(request: LaunchRequest, context: Omit<RunContext, 'stdio' | 'child'>) {
  const { identity, cwd, group, deps } = context
  const stdio = openStdio(request, identity, deps)
  const deposit = deps.deposits?.reserve(request.limits?.outputMax !== undefined)
  const { window, readerStall: stall } = deps
  const kept = deposit?.output
  const pool = kept?.pool ?? deps.pool
  const output = new OutputLog({ share: window.share(), pool, stall, kept })
  const reader = output.reader(request.signal)
  try {
    const { sources, terminal, input, heldSlave } = stdio
    const held = { sources, last: terminal === undefined ? input : heldSlave }
    const keeping = await keepProcess(deposit, held, { request, cwd, group, deposits: deps.deposits })
    const outcome = await run(request, { ...context, stdio, child: keeping?.child })
    stdio.closeChildEnds()
    return { stdio, output, pool, outcome, reader, deposit, keeping }
  } catch (error) {
    stdio.closeAll()
    deposit?.drop()
    reader.close()
    output.discard()
    output.close()
    throw error
  }
}

type Identity = { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined

/** How the program is to be run as that user: undefined where the daemon is not root and runs it as itself. */
async function identityOf(user: User, users: Users): Promise<Identity> {
  const own = process.geteuid?.()
  if (own === 0) return { uid: user.uid, gid: user.gid, groups: await users.groupsOf(user) }
  if (user.uid === own) return undefined
  throw new AppError(
    'permission_denied',
    `cannot run as user '${user.name}': the daemon does not run as root, but as uid ${own}`,
  )
}

type Outcome = Spawned | NotRun

interface RunContext {
  readonly cwd: string
  /** No directory was given: `cwd` is the home of the user. */
  readonly isHome: boolean
  readonly identity: Identity
  /** The cgroup of this command alone. */
  readonly group: MadeGroup | undefined
  readonly stdio: Stdio
  /** See `Keeping`. */
  readonly child: ChildDeposit | undefined
  readonly deps: LaunchDeps
}

async function run(request: LaunchRequest, context: RunContext): Promise<Outcome> {
  const { cwd, isHome, identity, group, stdio, child, deps } = context
  const { config, user } = request
  // Of many starts with many variables each takes some milliseconds.
  await loopTurns.turn(request)
  const global = deps.defaults.env.lines()
  try {
    const spec: SpawnSpec = {
      file: config.cmd,
      args: config.args,
      env: environmentOf({ path: deps.path, user, global, cwd, request: config.envs }),
      cwd,
      stdio: stdio.child,
      terminal: stdio.terminal !== undefined,
      oomScoreAdj: OOM_SCORE_ADJ,
      nice: NICE,
      ioPriority: IO_PRIORITY,
      ...(identity === undefined ? {} : { user: identity }),
      ...(deps.noFile === undefined ? {} : { noFile: deps.noFile }),
      ...(child === undefined ? {} : { deposit: child }),
    }
    // Without its limits it must not run.
    if (group !== undefined) return await spawn({ ...spec, cgroup: group.descriptor })
    return await spawnInGroup(spec, commandGroup(request), deps.groups, request.cgroup)
  } catch (error) {
    // `spawn` rejects with nothing else.
    const failure = error as SpawnFailure
    if (failure.stage === 'exec' && failure.code !== 'E2BIG' && !isExhaustion(failure.code))
      return notRun(config.cmd, failure)
    // As su(1) and sshd(8): a home that is missing or closed does not refuse the command.
    if (failure.stage === 'chdir' && isHome) return run(request, { ...context, cwd: '/', isHome: false })
    throw await startFailure(request, cwd, failure)
  }
}

interface Parts {
  readonly request: LaunchRequest
  readonly cwd: string
  readonly stdio: Stdio
  readonly output: OutputLog
  readonly outcome: Outcome
  readonly group: LimitedGroup | undefined
  readonly deposit: ProcessDeposit | undefined
  readonly keeping: Keeping | undefined
  readonly pool: SlabPool
  readonly deps: LaunchDeps
}

/** Leaves nothing of it behind if it fails. */
function handOver(parts: Parts & { readonly reader: OutputReader }): Launched {
  try {
    return toLaunched(parts)
  } catch (error) {
    const { stdio, outcome, output, deposit, reader } = parts
    if ('pidfd' in outcome) killUnfollowed(outcome.pidfd)
    stdio.closeDaemonEnds()
    deposit?.drop()
    reader.close()
    output.discard()
    output.close()
    throw unfollowed(error)
  }
}

function toLaunched({ request, cwd, stdio, output, pool, outcome, group, deposit, keeping, deps }: Parts): Launched {
  const { config, tag, replay, routine = false, limits } = request
  const common = {
    ...{ pid: outcome.pid, config, tag, replay, routine, output, group },
    about: aboutOf(request, { user: request.user.name, cwd }),
    ...{ pool, kept: deposit?.output, outputMax: limits?.outputMax, size: request.terminal },
  }
  if ('status' in outcome) {
    stdio.closeDaemonEnds()
    say(outcome.text, stdio.terminal === undefined ? 'stderr' : 'pty', { output, deposit })
    const nothing = { pidfd: undefined, sources: [], input: undefined, terminal: undefined }
    return { ...common, ...nothing, status: outcome.status, deposit: begun(outcome, keeping, deps) }
  }
  const { sources, terminal, heldSlave } = stdio
  const { pidfd } = outcome
  const kept = begun(outcome, keeping, deps)
  return { ...common, pidfd, sources, input: inputOf(stdio, kept), terminal, heldSlave, deposit: kept }
}

/** The deposit of a process that runs, or could not; undefined: it is not kept. */
function begun(outcome: Outcome, keeping: Keeping | undefined, { deposits }: LaunchDeps): ProcessDeposit | undefined {
  try {
    keeping?.deposit.begin(outcome)
    return keeping?.deposit
  } catch (error) {
    deposits?.notKept(error)
    keeping?.deposit.drop()
    return undefined
  }
}

function inputOf({ input, terminal }: Stdio, deposit: ProcessDeposit | undefined): InputQueue | undefined {
  if (input === undefined) return undefined
  return new InputQueue(input, terminal === undefined ? 'stdin' : 'tty', deposit?.input(terminal !== undefined))
}
