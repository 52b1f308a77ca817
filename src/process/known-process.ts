import { copiedText } from '../lib/copied-text.ts'
import type { End } from './exit-status.ts'
import type { LaunchRequest } from './launch.ts'
import type { OutputLog } from './output-log.ts'

/** What a process is, in little memory: it is kept as long as its exit. */
export interface About {
  /** Its `Idempotency-Key`. */
  readonly key: string | undefined
  /** Name of its user; empty: an earlier daemon has started it. */
  readonly user: string
  readonly cwd: string
  readonly cmd: string
  /** The first arguments, as many as fit. */
  readonly args: readonly string[]
  readonly argsLeftOut: number
  readonly terminal: boolean
}

/** A process that runs, or what is kept of one that has ended. */
export interface KnownProcess {
  readonly pid: number
  readonly tag: string | undefined
  readonly about: About
  readonly output: OutputLog
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  /** Undefined while it runs. */
  readonly end: End | undefined
}

/** UTF-16 units of command and arguments that are kept: there are a thousand exits, and as many jobs in each list. */
const MAX_COMMAND = 2048

/** UTF-16 units of a directory, as PATH_MAX. */
const MAX_CWD = 4096

/** What is kept of a start. */
export function aboutOf(
  { config, key, terminal }: Pick<LaunchRequest, 'config' | 'key' | 'terminal'>,
  { user, cwd }: { readonly user: string; readonly cwd: string },
): About {
  const cmd = copiedText(config.cmd, MAX_COMMAND)
  let room = MAX_COMMAND - cmd.length
  const args: string[] = []
  for (const argument of config.args) {
    // An empty one takes memory as well.
    room -= argument.length + 1
    if (room < 0) break
    args.push(copiedText(argument, MAX_COMMAND))
  }
  const argsLeftOut = config.args.length - args.length
  return { key, user, cwd: copiedText(cwd, MAX_CWD), cmd, args, argsLeftOut, terminal: terminal !== undefined }
}
