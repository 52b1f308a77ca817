import { isIP } from 'node:net'
import { parseFlags } from './lib/flags.ts'

/** Everything that can be set from outside, validated; read once, by `main.ts`. Tests build it with `readConfig`. */
export interface Config {
  /** TCP port; 0 takes a free one. */
  readonly port: number
  /** Listening address: `::` (all, both families), `localhost` (both loopback addresses), or one address. */
  readonly address: string
  /** Not in a Firecracker microVM: no metadata service, no log export. */
  readonly notFirecracker: boolean
  readonly verbose: boolean
  readonly noCgroups: boolean
  readonly cgroupRoot: string
  /** End every command at shutdown instead of leaving it to init. */
  readonly killOnExit: boolean
  readonly defaultUser: string
  readonly defaultWorkdir: string | undefined
  /** Bytes of recent output kept over all commands together. */
  readonly outputWindow: number
  /** Milliseconds after which a reader that takes no output, while some waits, is ended. */
  readonly readerStall: number
  /** Directory of `.E2B_SANDBOX` and its like. */
  readonly runDir: string
  /** PATH of commands. */
  readonly path: string
  /** Soft limit of open files for commands; undefined: as the daemon's. */
  readonly noFile: number | undefined
}

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'version' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'usage'; readonly problem: string; readonly text: string }

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const flags = {
  address: {
    type: 'string',
    default: '::',
    help: 'listening address: an IP address, or "localhost" for loopback only',
  },
  'cgroup-root': { type: 'string', default: '/sys/fs/cgroup', help: 'cgroup root directory' },
  commit: { type: 'bool', default: false, help: 'print the commit this was built from' },
  'default-user': {
    type: 'string',
    default: '',
    help: 'user of calls that name none (default: root, or who runs the daemon)',
  },
  'default-workdir': { type: 'string', default: '', help: 'directory of commands and empty paths (default: the home)' },
  isnotfc: { type: 'bool', default: false, help: 'not in a Firecracker microVM: no metadata service, no log export' },
  'kill-on-exit': { type: 'bool', default: false, help: 'end every command when the daemon stops' },
  'no-cgroups': { type: 'bool', default: false, help: 'do not use cgroups' },
  'output-window': { type: 'int', default: 32 * 1024 * 1024, help: 'bytes of recent output kept over all commands' },
  port: { type: 'int', default: 49983, help: 'listening port' },
  'reader-stall': { type: 'int', default: 60, help: 'seconds after which a reader that takes no output is ended' },
  'run-dir': { type: 'string', default: '/run/e2b', help: 'directory of the sandbox flag files' },
  verbose: { type: 'bool', default: false, help: 'write all log lines to standard output' },
  version: { type: 'bool', default: false, help: 'print the compatibility version' },
} as const

/**
 * Reads flags (Go style, contract A1) and environment. Lists every problem at once.
 * @param env PATH; ENVD_NOFILE, the soft limit of open files that the launcher found; npm_lifecycle_event.
 */
export function readConfig(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): Command {
  const parsed = parseFlags(argv, flags)
  if (!parsed.ok) return { kind: 'usage', problem: parsed.problem, text: parsed.usage }
  const given = parsed.values
  if (given.version) return { kind: 'version' }
  if (given.commit) return { kind: 'commit' }
  const problems = [
    given.port >= 0 && given.port <= 65535 ? '' : `port must be 0 to 65535, got ${given.port}`,
    given.address === 'localhost' || isIP(given.address) !== 0
      ? ''
      : `address must be an IP address or localhost, got ${given.address}`,
    given['output-window'] >= 0 ? '' : `output-window must not be negative, got ${given['output-window']}`,
    given['reader-stall'] > 0 ? '' : `reader-stall must be positive, got ${given['reader-stall']}`,
  ].filter((text) => text !== '')
  if (problems.length > 0) return { kind: 'usage', problem: problems.join('; '), text: parsed.usage }
  return {
    kind: 'run',
    config: {
      port: given.port,
      address: given.address,
      notFirecracker: given.isnotfc,
      verbose: given.verbose,
      noCgroups: given['no-cgroups'],
      cgroupRoot: given['cgroup-root'],
      killOnExit: given['kill-on-exit'],
      defaultUser: given['default-user'],
      defaultWorkdir: given['default-workdir'] || undefined,
      outputWindow: given['output-window'],
      readerStall: given['reader-stall'] * 1000,
      runDir: given['run-dir'],
      path: commandPath(env),
      noFile: positiveInteger(env['ENVD_NOFILE']),
    },
  }
}

/** `readConfig` with this process's own environment: the one place where it is read. */
export function readCommand(argv: readonly string[]): Command {
  return readConfig(argv, process.env)
}

/** The daemon's PATH without what npm put in front of it: a command must not find the daemon's own tools. */
function commandPath(env: Readonly<Record<string, string | undefined>>): string {
  const path = env['PATH'] ?? DEFAULT_PATH
  if (env['npm_lifecycle_event'] === undefined) return path
  const own = (part: string) => part.endsWith('/node_modules/.bin') || part.endsWith('/node-gyp-bin')
  return path
    .split(':')
    .filter((part) => !own(part))
    .join(':')
}

function positiveInteger(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined
}
