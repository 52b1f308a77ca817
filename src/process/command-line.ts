import { AppError } from '../errors.ts'
import { isVariable } from '../lib/environment.ts'
import type { User } from '../users/users.ts'
import type { ProcessConfig } from './process.ts'

/** Where the variables of a command come from, weakest first. */
export interface EnvironmentSources {
  /** PATH of the daemon. */
  readonly path: string
  readonly user: User
  /** Set by the daemon and by `/init`. */
  readonly global: ReadonlyMap<string, string>
  readonly cwd: string
  readonly request: Readonly<Record<string, string>>
}

/**
 * The whole environment of a command, `NAME=value` each: PATH, HOME, USER, LOGNAME and PWD, then the global variables,
 * then the request's; nothing else of the daemon's own leaks in (contract D10). What is no variable is left out.
 */
export function environmentOf(sources: EnvironmentSources): string[] {
  const { user } = sources
  const given: readonly (readonly [string, string])[] = [
    ['PATH', sources.path],
    ['HOME', user.home],
    ['USER', user.name],
    ['LOGNAME', user.name],
    ['PWD', sources.cwd],
    ...sources.global,
    ...Object.entries(sources.request),
  ]
  const variables = new Map(given.filter(([name, value]) => isVariable(name, value)))
  return Array.from(variables, ([name, value]) => `${name}=${value}`)
}

/** Characters of a command line that an error message repeats: enough to recognise it. */
const MAX_SHOWN = 200

/** The command line as error messages name it. */
export function commandLine(config: ProcessConfig): string {
  const line = [config.cmd, ...config.args].join(' ')
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line
}

/** Throws `invalid_argument` for what no program can be started with: no command, NUL bytes in the command line (contract D5, D11). */
export function checkConfig(config: ProcessConfig): void {
  const refuse = (why: string) => {
    throw new AppError('invalid_argument', `error starting process '${commandLine(config)}': ${why}`)
  }
  if (config.cmd === '') throw new AppError('invalid_argument', 'error starting process: cmd must not be empty')
  const hasNul = (text: string) => text.includes('\0')
  if (hasNul(config.cmd) || config.args.some(hasNul)) refuse('exec: invalid argument: NUL byte in the command line')
}
