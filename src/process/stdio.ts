import { constants, openSync } from 'node:fs'
import { errnoOf } from '../errors.ts'
import { changeOwner, close, duplicate, openPipe, openTerminal, setNonBlocking } from '../native/index.ts'
import type { StreamName } from './output-log.ts'
import type { TerminalSize } from './process.ts'

/**
 * Errors of fchown(2) without the capability, for an id that the user namespace does not map, and from a filter of
 * system calls.
 */
const REFUSALS = new Set(['EPERM', 'EINVAL', 'ENOSYS'])

/** Descriptors of a command: what the child gets, and the daemon's ends of them. */
export interface Stdio {
  /** For descriptors 0, 1, 2 of the child; the daemon's copies are closed by `closeChildEnds` after the start. */
  readonly child: readonly [number, number, number]
  readonly sources: readonly { readonly fd: number; readonly stream: StreamName }[]
  /** Where input is written; undefined: the child reads end of file. */
  readonly input: number | undefined
  /** Master of the terminal, also in `sources`. */
  readonly terminal: number | undefined
  closeChildEnds(): void
  /**
   * The slave of the terminal, which `closeChildEnds` leaves open: while it is open, a leader that closes its
   * descriptors and opens /dev/tty again later loses nothing. To be closed after the leader's exit.
   */
  readonly heldSlave: number | undefined
  /** For a program that could not be run: closes the daemon's ends, which stay unused. */
  closeDaemonEnds(): void
  /** Closes everything, for a start that failed. */
  closeAll(): void
}

/** Who owns pipes and terminals; undefined leaves them with the daemon's user. */
export type Owner = { readonly uid: number; readonly gid: number } | undefined

/** How the pipes of a command are made. */
interface PipeOptions {
  /** A pipe for its input, else it reads end of file. */
  readonly stdin: boolean
  /** See `LaunchRequest.outlives`. */
  readonly outlives: boolean
  /** An open descriptor of /dev/null. */
  readonly devNull: number
}

/**
 * Three pipes; without `stdin` the child reads from `devNull` instead. They belong to the user, who can then open
 * /dev/stdin, /dev/stdout and /dev/stderr again by name. Throws with `code` (EMFILE) and leaves nothing open.
 */
export function openPipes(owner: Owner, { stdin, outlives, devNull }: PipeOptions): Stdio {
  const opened: number[] = []
  const pipe = (): [number, number] => {
    const ends = openPipe()
    opened.push(...ends)
    giveTo(ends[0], owner)
    return ends
  }
  const closeAll = () => closeEach(opened)
  try {
    const input = stdin ? pipe() : undefined
    const outputPipe = (): [number, number] => {
      const [end, childEnd] = pipe()
      return [end, outlives ? readable(childEnd, opened) : childEnd]
    }
    const [out, childOut] = outputPipe()
    const [err, childErr] = outputPipe()
    for (const fd of [input?.[1], out, err]) if (fd !== undefined) setNonBlocking(fd)
    return {
      child: [input?.[0] ?? devNull, childOut, childErr],
      sources: [
        { fd: out, stream: 'stdout' },
        { fd: err, stream: 'stderr' },
      ],
      input: input?.[1],
      terminal: undefined,
      heldSlave: undefined,
      closeChildEnds: () => closeEach([input?.[0], childOut, childErr]),
      closeDaemonEnds: () => closeEach([input?.[1], out, err]),
      closeAll,
    }
  } catch (error) {
    closeAll()
    throw error
  }
}

/** A terminal of that size, owned by the user (contract D65). Throws with `code` and leaves nothing open. */
export function openTerminalStdio(owner: Owner, size: TerminalSize): Stdio {
  const [master, slave] = openTerminal(size.columns, size.rows)
  const opened = [master, slave]
  const closeAll = () => closeEach(opened)
  try {
    giveTo(slave, owner)
    // A second descriptor, since each is watched for one direction.
    const input = duplicate(master)
    opened.push(input)
    return {
      child: [slave, slave, slave],
      sources: [{ fd: master, stream: 'pty' }],
      input,
      terminal: master,
      heldSlave: slave,
      closeChildEnds: () => {},
      closeDaemonEnds: closeAll,
      closeAll,
    }
  } catch (error) {
    closeAll()
    throw error
  }
}

/**
 * The same pipe, opened for reading as well: it has a reader for as long as a process can write to it, so that no
 * writer is ended by SIGPIPE (pipe(7)). Takes the place of the given descriptor, also in `opened`; that is kept where
 * /proc is missing.
 */
function readable(fd: number, opened: number[]): number {
  try {
    const both = openSync(`/proc/self/fd/${fd}`, constants.O_RDWR)
    opened[opened.indexOf(fd)] = both
    close(fd)
    return both
  } catch {
    return fd
  }
}

/**
 * Makes a pipe or terminal its user's as far as the daemon may (not without CAP_CHOWN). Without that the command still
 * has its descriptors, and cannot open them again by name.
 */
function giveTo(fd: number, owner: Owner): void {
  if (owner === undefined) return
  try {
    changeOwner(fd, owner.uid, owner.gid)
  } catch (error) {
    if (!REFUSALS.has(errnoOf(error) ?? '')) throw error
  }
}

function closeEach(fds: readonly (number | undefined)[]): void {
  for (const fd of fds) if (fd !== undefined) close(fd)
}
