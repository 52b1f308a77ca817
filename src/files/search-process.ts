import { openSync } from 'node:fs'
import { Socket } from 'node:net'
import { AppError, errnoKind, errnoOf } from '../errors.ts'
import { failureKind } from '../filesystem/failure.ts'
import { errnoText } from '../lib/errno-text.ts'
import {
  close,
  type ExitStatus,
  openPipe,
  pidfdSignal,
  pidfdWait,
  poll,
  type Spawned,
  SpawnFailure,
  type SpawnSpec,
} from '../native/index.ts'
import { SEARCH_MEMORY_BYTES } from './limits.ts'

/** What searches, as whom and where. */
export interface SearchProgram {
  readonly file: string
  readonly args: readonly string[]
  /** Absolute. */
  readonly cwd: string
  /** Undefined: the daemon's own. */
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined
}

/** A program that runs. */
interface SearchProcess {
  readonly output: Socket
  readonly errors: Socket
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<ExitStatus>
  /** Kills it and closes its output. Idempotent. */
  kill(): void
}

/** As `native.spawn`, in the cgroup of commands. */
type SpawnCommand = (spec: SpawnSpec) => Promise<Spawned>

const SIGKILL = 9
/** The first to go when memory runs out: nothing is lost with it. */
const OOM_SCORE_ADJ = 500
const NICE = 0
/** ioprio_set(2): class best-effort, level 4. */
const IO_PRIORITY = (2 << 13) | 4
/** No variables of a user, so that ripgrep finds no configuration file. */
const ENVIRONMENT = ['PATH=/usr/bin:/bin', 'HOME=/nonexistent', 'LC_ALL=C']

let devNull: number | undefined

/** The programs that run. */
export class SearchProcesses {
  readonly #pids = new Set<number>()
  readonly #spawn: SpawnCommand

  constructor(spawn: SpawnCommand) {
    this.#spawn = spawn
  }

  /** Pids of those that have not been reaped. */
  pids(): number[] {
    return [...this.#pids]
  }

  /**
   * Starts a program with pipes for its output and errors. The caller kills it in any case. Rejects with AppError:
   * permission_denied where the user may not enter the directory or the daemon not act for the user, not_found,
   * resource_exhausted, internal.
   */
  async start({ file, args, cwd, user }: SearchProgram): Promise<SearchProcess> {
    const { output, out, errors, err, input } = opened()
    try {
      const spawned = await this.#spawn({
        ...{ file, args, cwd, env: ENVIRONMENT, stdio: [input, out, err], terminal: false },
        ...{ oomScoreAdj: OOM_SCORE_ADJ, nice: NICE, ioPriority: IO_PRIORITY, memory: SEARCH_MEMORY_BYTES },
        ...(user === undefined ? {} : { user }),
      })
      this.#pids.add(spawned.pid)
      return this.#follow(spawned, output, errors)
    } catch (error) {
      close(output)
      close(errors)
      throw error instanceof SpawnFailure ? startError(error, cwd) : error
    } finally {
      close(out)
      close(err)
    }
  }

  #follow({ pid, pidfd }: Spawned, output: number, errors: number): SearchProcess {
    const sockets = [output, errors].map((fd) => new Socket({ fd, readable: true, writable: false }))
    // What fails is seen at the end of the program.
    for (const socket of sockets) socket.on('error', () => {})
    let over = false
    const ended = new Promise<ExitStatus>((resolve) => {
      const exit = poll(pidfd, false, () => {
        const reaped = pidfdWait(pidfd)
        if (reaped === undefined) return
        over = true
        exit.close()
        close(pidfd)
        this.#pids.delete(pid)
        resolve(reaped.status)
      })
      exit.start()
    })
    const kill = () => {
      if (!over) pidfdSignal(pidfd, SIGKILL)
      for (const socket of sockets) socket.destroy()
    }
    const [first, second] = sockets
    if (first === undefined || second === undefined) throw new Error('no pipes')
    return { output: first, errors: second, ended, kill }
  }
}

/** Its input, and both ends of its output and errors. Throws AppError and leaves nothing open. */
function opened() {
  try {
    devNull ??= openSync('/dev/null', 'r')
    const [[output, out], [errors, err]] = openPipes()
    return { input: devNull, output, out, errors, err }
  } catch (error) {
    const reason = errnoText(errnoOf(error) ?? 'EIO')
    throw new AppError(failureKind(error), `cannot start the search: ${reason}`, { cause: error })
  }
}

/** Of its output and its errors. Throws with `code` and leaves nothing open. */
function openPipes(): [[number, number], [number, number]] {
  const output = openPipe()
  try {
    return [output, openPipe()]
  } catch (error) {
    for (const fd of output) close(fd)
    throw error
  }
}

function startError({ stage, code }: SpawnFailure, cwd: string): AppError {
  const reason = errnoText(code)
  if (stage === 'user' || (stage === 'chdir' && code === 'EACCES'))
    return new AppError('permission_denied', `cannot search '${cwd}' as that user: ${reason}`)
  const kind = errnoKind(code)
  if (stage === 'chdir' && kind === 'internal') return new AppError('not_found', `cannot search '${cwd}': ${reason}`)
  // No more processes or threads.
  return new AppError(code === 'EAGAIN' ? 'resource_exhausted' : kind, `cannot start the search (${stage}): ${reason}`)
}
