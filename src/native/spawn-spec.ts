/** Where the child stood when a start failed; the errno belongs to exactly this step. */
export type SpawnStage =
  | 'prepare'
  | 'clone'
  | 'cgroup'
  | 'keeper'
  | 'session'
  | 'terminal'
  | 'stdio'
  | 'limits'
  | 'user'
  | 'chdir'
  | 'exec'

/** What `spawn` needs. Strings are UTF-8; one that contains a NUL byte is refused with stage `prepare`, EINVAL. */
export interface SpawnSpec {
  /** Looked up in the PATH of `env` unless it contains a slash. */
  readonly file: string
  /** argv[1] and on; argv[0] is `file`. */
  readonly args: readonly string[]
  /** The whole environment, `NAME=value` each. */
  readonly env: readonly string[]
  /** Entered as the user, after privileges are dropped. */
  readonly cwd: string
  /** Become descriptors 0, 1 and 2; everything above is closed. The caller keeps and closes its own. */
  readonly stdio: readonly [number, number, number]
  /** Descriptor 0 becomes the controlling terminal of the new session. */
  readonly terminal: boolean
  /**
   * Absent: the daemon's own user and groups stay. For the daemon's own uid, groups that may not be changed (EPERM
   * without CAP_SETGID) stay as they are; for any other that is a failure with stage `user`.
   */
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
  /** RLIMIT_NOFILE soft limit. */
  readonly noFile?: number
  /** RLIMIT_AS, soft and hard: bytes of address space. */
  readonly memory?: number
  /** Best effort: /proc/self/oom_score_adj. */
  readonly oomScoreAdj?: number
  /** Best effort: absolute nice value. */
  readonly nice?: number
  /** Best effort: ioprio_set(2) value, class << 13 | level. */
  readonly ioPriority?: number
  /**
   * A descriptor of the directory of a cgroup (version 2) that the process is in from its first instruction; it may be
   * closed as soon as `spawn` has returned. Absent: the daemon's own. While the cgroup is frozen the start waits, and
   * nothing else does. One that is gone (ENODEV or ENOENT, as the kernel likes) or takes no processes (EBUSY,
   * EOPNOTSUPP, EACCES) fails with stage `cgroup`.
   */
  readonly cgroup?: number
  /**
   * What the process deposits with the keeper before it runs the program. When that is gone the program does not run
   * (stage `keeper`, EPIPE); for any other failure it runs without. A program that then cannot be run stays deposited.
   */
  readonly deposit?: ChildDeposit
}

/** A message of the child itself, with which descriptors go. */
export interface ChildDeposit {
  /** The end of the socket pair. */
  readonly socket: number
  /** KEEPER_PUT of `src/keeper/protocol.h`; the child puts its pid into it. */
  readonly message: Uint8Array
  /** At most 8, open until `spawn` has resolved; -1 is where the child puts a pidfd of its own. */
  readonly descriptors: readonly number[]
}

/** A started process. The caller owns `pidfd` and closes it; the process is its session's leader. */
export interface Spawned {
  readonly pid: number
  readonly pidfd: number
  /** The keeper has what `SpawnSpec.deposit` says. */
  readonly deposited: boolean
}
