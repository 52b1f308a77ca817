import type { Readable } from 'node:stream'
import { AppError } from '../../errors.ts'
import { errnoText } from '../../lib/errno-text.ts'

/** How a command ended by itself. */
interface CommandEnd {
  /** 0 to 255; undefined: a signal ended it. */
  readonly exitCode: number | undefined
  /** The newest MAX_OUTPUT bytes of standard output and standard error together, undecodable ones replaced, trimmed. */
  readonly output: string
}

/** How long a command may take. */
interface CommandLimits {
  /** Whole milliseconds, at least 1. */
  readonly timeout: number
  readonly signal: AbortSignal
}

/** Runs the machine's own programs for the daemon (mount, umount, findmnt, iptables). */
export interface HostCommands {
  /**
   * Runs a program, found in PATH, with these arguments and no shell, in `/`, with PATH and LANG=C for an environment
   * and nothing to read. At the timeout its whole process group is killed. Rejects with the signal's reason, or with
   * AppError: `failed_precondition` if there is no such program, `deadline_exceeded` at the timeout (with its output),
   * `internal` if it cannot be started. Never waits more than KILL_GRACE_MS longer than allowed, whatever state the
   * program is in.
   */
  run(file: string, args: readonly string[], limits: CommandLimits): Promise<CommandEnd>
  /** The running ones, which must not be reaped elsewhere. */
  pids(): number[]
}

/** Enough for what mount(8) has to say; it ends up in an error message. */
const MAX_OUTPUT = 4096

/** What a child that was left behind may keep the output open for, once the program itself has ended. */
const DRAIN_MS = 200

/** SIGKILL is obeyed within that, unless the program hangs in the kernel, as on a dead network mount. */
const KILL_GRACE_MS = 500

/** @param path PATH of the programs. */
export function createHostCommands(path: string): HostCommands {
  const pids = new Set<number>()
  return {
    run: (file, args, limits) => runCommand(file, args, { ...limits, path, pids }),
    pids: () => [...pids],
  }
}

interface RunOptions extends CommandLimits {
  readonly path: string
  readonly pids: Set<number>
}

async function runCommand(file: string, args: readonly string[], options: RunOptions): Promise<CommandEnd> {
  const { timeout, signal, path, pids } = options
  // Loaded at the first command: most daemons never run one.
  const { execa } = await import('execa')
  signal.throwIfAborted()
  const late = AbortSignal.timeout(timeout)
  const stop = AbortSignal.any([signal, late])
  const child = execa(file, args, {
    cwd: '/',
    env: { PATH: path, LANG: 'C' },
    extendEnv: false,
    stdin: 'ignore',
    all: true,
    buffer: false,
    reject: false,
    cancelSignal: stop,
    killSignal: 'SIGKILL',
    killDescendants: true,
    // Who stops the daemon aborts the signal; execa's own way hooks every signal of the process.
    cleanup: false,
  })
  const { pid, all, nodeChildProcess: program } = child
  if (pid !== undefined) {
    pids.add(pid)
    program.once('exit', () => pids.delete(pid))
  }
  const output = newestOf(all)
  const overdue = Promise.withResolvers<void>()
  program.once('exit', () => setTimeout(overdue.resolve, DRAIN_MS))
  stop.addEventListener('abort', () => setTimeout(overdue.resolve, KILL_GRACE_MS), { once: true })
  const result = await Promise.race([child, overdue.promise])
  child.stdout.destroy()
  child.stderr.destroy()
  if (pid === undefined) throw notStarted(file, result?.code)
  if (stop.aborted && program.exitCode === null) {
    signal.throwIfAborted()
    throw new AppError('deadline_exceeded', `${file}: not done after ${Math.round(timeout / 100) / 10} s: ${output()}`)
  }
  return { exitCode: program.exitCode ?? undefined, output: output() }
}

/** Reads a stream to its end and keeps what came last; returns what there is at the time of the call. */
function newestOf(stream: Readable): () => string {
  let kept: Buffer = Buffer.alloc(0)
  stream.on('data', (bytes: Buffer) => {
    kept = Buffer.concat([kept, bytes]).subarray(-MAX_OUTPUT)
  })
  stream.on('error', () => {})
  return () => kept.toString().trim()
}

function notStarted(file: string, code: string | undefined): AppError {
  if (code === 'ENOENT') return new AppError('failed_precondition', `${file}: command not found`)
  return new AppError('internal', `${file}: cannot be started: ${errnoText(code ?? 'unknown error')}`)
}
