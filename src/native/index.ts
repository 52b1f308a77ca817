import { loadAddon } from './load.ts'
import type { Spawned, SpawnSpec, SpawnStage } from './spawn-spec.ts'
import type { TreeTask } from './tree-task.ts'

export type { ChildDeposit, Spawned, SpawnSpec } from './spawn-spec.ts'

/** A start that failed. `code` is the errno's name (`ENOENT`), `errno` its number. No process is left behind. */
export class SpawnFailure extends Error {
  readonly stage: SpawnStage
  readonly errno: number
  readonly code: string
  /** The pid that the failed child had, 0 if none was made. */
  readonly pid: number

  constructor(stage: SpawnStage, errno: number, code: string, pid: number) {
    super(`${stage}: ${code}`)
    this.name = 'SpawnFailure'
    this.stage = stage
    this.errno = errno
    this.code = code
    this.pid = pid
  }
}

/** How a process ended: an exit code 0 to 255, or the signal that killed it. */
export type ExitStatus = { readonly exitCode: number } | { readonly signal: number; readonly coreDumped: boolean }

/** A process that has ended and was reaped, with what it and those that it has waited for have used (getrusage(2)). */
export interface Reaped {
  readonly status: ExitStatus
  readonly cpuMicroseconds: number
  /**
   * Resident memory of the largest process in KiB. Not less than this process had when it spawned that one: the kernel
   * counts what `spawn` shares with the child until its exec.
   */
  readonly peakKib: number
}

/** Readiness of one descriptor, as poll(2) sees it. `close` ends it; the descriptor itself stays the caller's. */
export interface Poll {
  /** Calls back on the event loop while the descriptor is ready (level-triggered) or has hung up. */
  start(): void
  stop(): void
  /** Idempotent. Must be called before the descriptor is closed. */
  close(): void
}

interface SpawnResult {
  readonly pid: number
  readonly pidfd: number
  readonly deposited: boolean
  readonly stage: SpawnStage | ''
  readonly errno: number
  readonly code: string
}

/**
 * The functions of the addon (`*.cc` beside this file), but for those of files.ts. It holds no policy. All failures
 * come back as values or Errors with `code`.
 */
interface Addon {
  spawn(spec: SpawnSpec, done: (result: SpawnResult) => void): void
  pipe(): [number, number]
  openTerminal(columns: number, rows: number): [number, number]
  resizeTerminal(fd: number, columns: number, rows: number): void
  poll(fd: number, writable: boolean, ready: () => void): Poll
  read(fd: number, buffer: Uint8Array, offset: number, length: number): number
  write(fd: number, buffer: Uint8Array, offset: number, length: number): number
  close(fd: number): void
  setNonBlocking(fd: number): void
  duplicate(fd: number): number
  changeOwner(fd: number, uid: number, gid: number): void
  pidfdOpen(pid: number): number
  pidfdSignal(pidfd: number, signal: number): number
  pidfdWait(pidfd: number): Reaped | undefined
  pidfdLook(pidfd: number): Reaped | undefined
  pidfdReap(pidfd: number): void
  signalSessions(targets: readonly number[]): Promise<Buffer>
  listSessions(sessions: readonly number[]): Promise<Buffer>
  waitOrphan(ours: readonly number[]): 'none' | 'ours' | number
  setChildSubreaper(): void
  noFileLimit(): [number, number]
  exitNow(code: number): never
  setClock(seconds: number, nanoseconds: number): void
  ignoreSignal(number: number): void
  setTcpUserTimeout(fd: number, milliseconds: number): void
  setReceiveBuffer(fd: number, bytes: number): void
  wasReset(fd: number): boolean
  openInotify(): number
  watchTree(
    instance: number,
    root: Uint8Array,
    start: Uint8Array,
    mask: number,
    recursive: boolean,
    rootWatch: number,
    limit: number,
    task: TreeTask,
  ): Promise<Buffer>
  removeWatch(instance: number, watch: number): number
  waitingBytes(fd: number): number
  listeningSockets(limit: number): Promise<Buffer>
  freezeFilesystem(path: Uint8Array): Promise<Buffer>
  thawFilesystem(path: Uint8Array): Promise<Buffer>
  receivedSegments(fd: number): number
  peerLeft(fd: number, beginning: Uint8Array): boolean
  askPeer(fd: number): void
  randomBytes(length: number): Buffer
  reseedRandom(buffer: Uint8Array, offset: number, length: number): void
}

const addon = loadAddon<Addon>()

/**
 * Starts a program in a session of its own, off the event loop: clone(2) with CLONE_VM, CLONE_VFORK and CLONE_PIDFD on
 * a thread of its own, so that neither the daemon's memory nor a slow exec delays anything. In the child every signal
 * is at its default and none is blocked. With a cgroup it is clone3(2) with CLONE_INTO_CGROUP; where the kernel or a
 * sandbox around it has no such thing, the child joins the cgroup before anything else. Rejects with SpawnFailure, or
 * with a TypeError for a spec of wrong types. A start as another user leaves the daemon undumpable for the rest of its
 * life (PR_SET_DUMPABLE in prctl(2)), which keeps that user from tracing.
 */
export function spawn(spec: SpawnSpec): Promise<Spawned> {
  return new Promise((resolve, reject) => {
    addon.spawn(spec, (result) => {
      if (result.stage === '') resolve({ pid: result.pid, pidfd: result.pidfd, deposited: result.deposited })
      else reject(new SpawnFailure(result.stage, result.errno, result.code, result.pid))
    })
  })
}

/** pipe2(2): [read end, write end], close-on-exec, blocking. */
export const openPipe = addon.pipe
/**
 * A pseudo terminal with its size and IUTF8 set: [master, slave], both close-on-exec, master non-blocking. Throws with
 * `code`.
 */
export const openTerminal = addon.openTerminal
/** TIOCSWINSZ; sizes are truncated to 16 bits (contract D64). Throws with `code`. */
export const resizeTerminal = addon.resizeTerminal
/**
 * Watches a pipe, terminal, socket or pidfd for readability, or for writability; makes it non-blocking. A descriptor
 * number can be watched once at a time (EEXIST): for a second watch of the same open file `duplicate` it. Keeps the
 * event loop alive while started. What the callback throws becomes an uncaught exception. Throws with `code` (EPERM: a
 * regular file).
 */
export const poll = addon.poll
/** read(2): the number of bytes, 0 at the end of file, or the negative errno (EIO of a hung-up terminal included). */
export const read = addon.read
/** write(2) without SIGPIPE: the number of bytes, or the negative errno. */
export const write = addon.write
/** close(2); failures are ignored, as the descriptor is gone either way on Linux. */
export const close = addon.close
/** Sets O_NONBLOCK. Throws with `code`. */
export const setNonBlocking = addon.setNonBlocking
/** fcntl(F_DUPFD_CLOEXEC): another descriptor of the same open file, to watch it twice. Throws with `code`. */
export const duplicate = addon.duplicate
/** fchown(2). Throws with `code`. */
export const changeOwner = addon.changeOwner
/** pidfd_open(2): a descriptor, or the negative errno (ESRCH: no such process). */
export const pidfdOpen = addon.pidfdOpen
/** pidfd_send_signal(2): 0, or the negative errno (ESRCH: it has ended and was reaped). */
export const pidfdSignal = addon.pidfdSignal
/** waitid(2) on a pidfd with WNOHANG: reaps and returns how it ended, undefined while it runs. Throws with `code`. */
export const pidfdWait = addon.pidfdWait
/** The same without reaping. */
export const pidfdLook = addon.pidfdLook
/** Reaps what `pidfdLook` has seen; nothing while it runs. Throws with `code`. */
export const pidfdReap = addon.pidfdReap
/**
 * Signals the living members of sessions, all by one walk over the processes, except their leaders and those that
 * ignore SIGHUP. Four numbers a target: the session; the signal (0 only looks); a second one for those that got it,
 * or 0; 1 if the leader has been reaped, as then nothing is signalled once its number is used anew. Returns 8
 * bytes for each process that was reached: the target's place and the pid, as 32-bit little-endian. Each process is
 * signalled through a pidfd after its session was checked; by its number where a sandbox refuses pidfds. On a thread of
 * its own. Rejects with `code` where there is no /proc.
 */
export const signalSessions = addon.signalSessions
/**
 * The members of sessions, zombies excepted, from one walk over all processes on a thread of its own: 8 bytes for each,
 * the session and the pid, as 32-bit little-endian. Rejects with `code` where there is no /proc.
 */
export const listSessions = addon.listSessions
/**
 * Reaps one ended child that is none of `ours` (for a daemon that is PID 1 or a subreaper). 'ours': one of ours waits
 * to be reaped first; 'none': nothing to reap; else the pid that was reaped. `ours` must name every child that other
 * code waits for, those of node:child_process included; what `spawn` has not yet resolved with counts as ours by
 * itself.
 */
export const waitOrphan = addon.waitOrphan
/** prctl(PR_SET_CHILD_SUBREAPER): orphans below this process become its children. */
export const setChildSubreaper = addon.setChildSubreaper
/** RLIMIT_NOFILE: [soft, hard]; Infinity for no limit. */
export const noFileLimit = addon.noFileLimit
/**
 * _exit(2) with a code of 0 to 255: at once, with no regard to other threads. Ending the process in the usual way waits
 * for the thread pool, and so for every file call that a dead network mount holds up. Throws EINVAL for another code.
 */
export const exitNow = addon.exitNow
/** clock_settime(CLOCK_REALTIME). Throws with `code` (EPERM). */
export const setClock = addon.setClock
/** Ignores a signal 1 to 64 (SIG_IGN); children of `spawn` have the default. Throws EINVAL for SIGKILL, SIGSTOP. */
export const ignoreSignal = addon.ignoreSignal
/** TCP_USER_TIMEOUT (tcp(7)): unacknowledged data older than this closes the connection. Throws with `code`. */
export const setTcpUserTimeout = addon.setTcpUserTimeout
/** Whether an open TCP connection was reset, or has timed out, whatever waits to be read of it. Throws with `code`. */
export const wasReset = addon.wasReset
/** SO_RCVBUF (socket(7)): what the kernel holds of a connection until it is read. Throws with `code`. */
export const setReceiveBuffer = addon.setReceiveBuffer
/** inotify_init1(2), close-on-exec, non-blocking. Throws with `code` (EMFILE: fs.inotify.max_user_instances). */
export const openInotify = addon.openInotify
/**
 * inotify_add_watch(2) on the directory `start` below `root` (empty: the root itself) and, if recursive, on every
 * directory below it, each watched before it is read. Links are followed in `root` only; what vanishes, is broken or
 * closed to the daemon below it is passed over, as are file systems of the kernel's own (proc, sysfs, cgroup).
 * `rootWatch`: the watch that the root has already; with another one it is another directory, and the call fails with
 * ESTALE; -1: any will do. `limit`: bytes of the result after which the walk ends with EOVERFLOW. `task`: of
 * `createTreeTask`; once it is cancelled the walk ends with ECANCELED. Packed for `unpackTree`
 * (native/watched-tree.ts). On the thread pool. Failures are in the result, with what was watched until then.
 */
export const watchTree = addon.watchTree
/** inotify_rm_watch(2): 0, or the negative errno (EINVAL: the kernel has dropped it already). */
export const removeWatch = addon.removeWatch
/** FIONREAD: bytes that wait to be read, or the negative errno. */
export const waitingBytes = addon.waitingBytes
/**
 * The TCP sockets that listen in this network namespace, at most `limit`, packed for `unpackListening`
 * (native/listening.ts). On the thread pool. Rejects with `code` where the kernel lacks sock_diag(7) (ENOENT,
 * EPROTONOSUPPORT, EOPNOTSUPP) or it is forbidden. While sockets come and go, one of a long listing may be left out.
 */
export const listeningSockets = addon.listeningSockets
/**
 * TCP segments that have come from a connection's peer (tcpi_segs_in of TCP_INFO in tcp(7), modulo 2^32). Throws with
 * `code`.
 */
export const receivedSegments = addon.receivedSegments
/**
 * Whether a TCP connection is closed by a side (TCP_INFO) and what waits to be read begins so, which is then discarded.
 * Throws `code`.
 */
export const peerLeft = addon.peerLeft
/**
 * Makes the peer of an established TCP connection acknowledge, now: a window probe (RFC 9293, 3.8.6.1), also while data
 * is in flight or the peer takes none. A peer may answer only one in 500 ms. Throws with `code`: EPERM without
 * CAP_NET_ADMIN, ENOTCONN when either side has closed.
 */
export const askPeer = addon.askPeer
/**
 * FIFREEZE on the filesystem that holds a directory (ioctl_fifreeze(2)): writes out what is dirty, then lets every
 * further write wait. On a thread of its own. Resolves with nothing. Rejects with `code`: EBUSY (is frozen), EOPNOTSUPP
 * (cannot be), EPERM.
 */
export const freezeFilesystem = addon.freezeFilesystem
/**
 * FITHAW: the writes go on. The same otherwise; EINVAL: it is not frozen. Needs no thread of the pool, nor the disk.
 */
export const thawFilesystem = addon.thawFilesystem
/** getrandom(2): at most 256 bytes, fresh from the kernel; none are kept in this process. Throws with `code`. */
export const randomBytes = addon.randomBytes
/**
 * Mixes bytes into the kernel's random numbers, from now on (RNDRESEEDCRNG in random(4)); with EPERM thrown, within a
 * minute.
 */
export const reseedRandom = addon.reseedRandom
