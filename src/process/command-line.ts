import { AppError } from '../errors.ts'
import { isVariable } from '../lib/environment.ts'
import type { User } from '../users/users.ts'
import type { ProcessConfig } from './process.ts'

/** Where the variables of a command come from, weakest first. */
interface EnvironmentSources {
  /** PATH of the daemon. */
  readonly path: string
  readonly user: User
  /** Set by the daemon and by `/init`: `NAME=value` by name. */
  readonly global: ReadonlyMap<string, string>
  readonly cwd: string
  readonly request: Readonly<Record<string, string>>
}

/**
 * The whole environment of a command, `NAME=value` each: PATH, HOME, USER, LOGNAME and PWD, then the global variables,
 * then the request's; nothing else of the daemon's own leaks in (contract D10). What is no variable is left out.
 */
export function environmentOf(sources: EnvironmentSources): string[] {
  const { user, path, cwd } = sources
  const lines = new Map<string, string>()
  const add = (variables: Readonly<Record<string, string>>) => {
    for (const [name, value] of Object.entries(variables))
      if (isVariable(name, value)) lines.set(name, `${name}=${value}`)
  }
  add({ PATH: path, HOME: user.home, USER: user.name, LOGNAME: user.name, PWD: cwd })
  for (const [name, line] of sources.global) lines.set(name, line)
  add(sources.request)
  return [...lines.values()]
}

/** Characters of a command line that an error message repeats: enough to recognise it. */
const MAX_SHOWN = 200

/** The command line as error messages name it. */
export function commandLine(config: ProcessConfig): string {
  let line = config.cmd.slice(0, MAX_SHOWN + 1)
  for (const arg of config.args) {
    if (line.length > MAX_SHOWN) break
    line += ` ${arg.slice(0, MAX_SHOWN)}`
  }
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line
}

/** Bytes of one argument or variable, its NUL byte included: MAX_ARG_STRLEN of execve(2). */
const MAX_ARG_BYTES = 128 * 1024

/**
 * Whether one word of a command is longer than the kernel takes, whatever its characters: it need not be encoded to
 * find out.
 */
export function hasTooLongWord({ cmd, args, envs }: ProcessConfig): boolean {
  if (cmd.length >= MAX_ARG_BYTES || args.some((arg) => arg.length >= MAX_ARG_BYTES)) return true
  return Object.entries(envs).some(([name, value]) => name.length + 1 + value.length >= MAX_ARG_BYTES)
}

/**
 * Throws `invalid_argument` for what no program can be started with: no command, NUL bytes in the command line
 * (contract D5, D11).
 */
export function checkConfig(config: ProcessConfig): void {
  const refuse = (why: string) => {
    throw new AppError('invalid_argument', `error starting process '${commandLine(config)}': ${why}`)
  }
  if (config.cmd === '') throw new AppError('invalid_argument', 'error starting process: cmd must not be empty')
  const hasNul = (text: string) => text.includes('\0')
  if (hasNul(config.cmd) || config.args.some(hasNul)) refuse('exec: invalid argument: NUL byte in the command line')
}
