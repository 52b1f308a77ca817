import { isIP, SocketAddress } from 'node:net'
import { flagFileSchema, readFlagFile } from './lib/flag-file.ts'
import { type FlagValues, parseFlags } from './lib/flags.ts'

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
  /** Home of the default user in the place of the one in /etc/passwd. */
  readonly defaultHome: string | undefined
  /** Bytes of recent output kept over all commands together. */
  readonly outputWindow: number
  /** Milliseconds after which a reader that takes no output, while some waits, is ended. */
  readonly readerStall: number
  /** Directory of `.E2B_SANDBOX` and its like. */
  readonly runDir: string
  /** PATH of commands. */
  readonly path: string
  /** Home of the daemon's own user where /etc/passwd does not know it. */
  readonly home: string
  /** Soft limit of open files for commands; undefined: as the daemon's. */
  readonly noFile: number | undefined
  readonly supervisor: SupervisorConfig
  /** Where ports that are bound to loopback become reachable; undefined: nowhere. */
  readonly forward: ForwardConfig | undefined
}

/** The forwarding address. */
export interface ForwardConfig {
  /** IPv4 or IPv6, in its usual form. */
  readonly address: string
  /** It was asked for; if not, it is used where an interface has it. */
  readonly explicit: boolean
}

/** The start and ready commands; both are scripts for a login shell. */
export interface SupervisorConfig {
  readonly startCommand: string | undefined
  readonly readyCommand: string | undefined
  /** Whom both run as, where and with which variables; undefined: what `/init` or the defaults say. */
  readonly user: string | undefined
  readonly workdir: string | undefined
  readonly env: Readonly<Record<string, string>>
  /** Whether the start command is started again when it ends: never, after a failure, always. */
  readonly restart: RestartMode
  /** Milliseconds that the ready command has to succeed in, from each start of the start command. */
  readonly readyTimeout: number
  /** Milliseconds for one attempt of it. */
  readonly readyAttemptTimeout: number
  /** A platform is to send user and variables with its first `/init`: nothing starts before that. */
  readonly afterInit: boolean
}

/** What `restart` can be. */
export type RestartMode = (typeof RESTART_MODES)[number]

/** What the command line asks for. */
export type Command =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'version' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'usage'; readonly problem: string; readonly text: string }

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Where the platform's proxy looks for the ports of a sandbox (contract G2). */
const DEFAULT_FORWARD_ADDRESS = '169.254.0.21'

/** Where cgroups of version 2 are mounted, if they are (cgroups(7)). */
export const DEFAULT_CGROUP_ROOT = '/sys/fs/cgroup'

const RESTART_MODES = ['never', 'on-failure', 'always'] as const

/** A day: longer is a mistake, and must not overflow a timer. */
const MAX_READY_SECONDS = 86_400

const flags = {
  address: {
    type: 'string',
    default: '::',
    help: 'listening address: an IP address, or "localhost" for loopback only',
  },
  'cgroup-root': { type: 'string', default: DEFAULT_CGROUP_ROOT, help: 'cgroup root directory' },
  commit: { type: 'bool', default: false, help: 'print the commit this was built from' },
  config: { type: 'string', default: '', help: 'JSON file of flags by name; the command line wins' },
  'default-home': {
    type: 'string',
    default: '',
    help: 'home of the default user (default: as /etc/passwd says)',
  },
  'default-user': {
    type: 'string',
    default: '',
    help: 'user of calls that name none (default: root, or who runs the daemon)',
  },
  'default-workdir': { type: 'string', default: '', help: 'directory of commands and empty paths (default: the home)' },
  'forward-address': {
    type: 'string',
    default: '',
    help: 'address on which ports bound to loopback become reachable, or "off" (default: 169.254.0.21 where an interface has it)',
  },
  isnotfc: { type: 'bool', default: false, help: 'not in a Firecracker microVM: no metadata service, no log export' },
  'kill-on-exit': { type: 'bool', default: false, help: 'end every command when the daemon stops' },
  'no-cgroups': { type: 'bool', default: false, help: 'do not use cgroups' },
  'output-window': { type: 'int', default: 32 * 1024 * 1024, help: 'bytes of recent output kept over all commands' },
  port: { type: 'int', default: 49983, help: 'listening port' },
  'ready-attempt-timeout': { type: 'int', default: 180, help: 'seconds for one attempt of the ready command' },
  'ready-cmd': {
    type: 'string',
    default: '',
    help: 'command that exits with 0 once the sandbox is ready (default: sleep 20 with a start command; or ENVD_READY_CMD)',
  },
  'ready-timeout': { type: 'int', default: 600, help: 'seconds for the ready command to succeed in' },
  'reader-stall': { type: 'int', default: 60, help: 'seconds after which a reader that takes no output is ended' },
  restart: {
    type: 'string',
    default: 'never',
    choices: RESTART_MODES,
    help: 'when to start the start command again after its end: never, on-failure or always',
  },
  'resume-handover': { type: 'bool', default: false, help: 'internal: accepted, without effect' },
  'run-dir': { type: 'string', default: '/run/e2b', help: 'directory of the sandbox flag files' },
  'start-cmd': {
    type: 'string',
    default: '',
    help: 'command to start with the daemon, in a login shell (or ENVD_START_CMD)',
  },
  'start-env': { type: 'map', default: {}, help: 'variable of the start and ready commands; may be repeated' },
  'start-user': {
    type: 'string',
    default: '',
    help: 'user of the start and ready commands (default: the default user)',
  },
  'start-workdir': {
    type: 'string',
    default: '',
    help: 'directory of the start and ready commands (default: the default one)',
  },
  verbose: { type: 'bool', default: false, help: 'write all log lines to standard output' },
  version: { type: 'bool', default: false, help: 'print the compatibility version' },
} as const

/** Flags that ask for something else than to run, or say where the file is: they have no place in it. */
const COMMAND_LINE_ONLY = new Set(['commit', 'config', 'resume-handover', 'version'])

const NO_FILE = { ok: true, values: {} } as const

const fileFlags = Object.fromEntries(Object.entries(flags).filter(([name]) => !COMMAND_LINE_ONLY.has(name)))

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads flags (Go style, contract A1), environment and the file that `-config` names, in this order of weight. Lists every
 * problem at once.
 * @param env PATH; ENVD_START_CMD and ENVD_READY_CMD; ENVD_NOFILE, the soft limit of open files that the launcher found;
 * npm_lifecycle_event.
 */
export function readConfig(argv: readonly string[], env: Environment): Command {
  const first = parseFlags(argv, flags)
  if (!first.ok) return { kind: 'usage', problem: first.problem, text: first.usage }
  if (first.values.version) return { kind: 'version' }
  if (first.values.commit) return { kind: 'commit' }
  const path = first.values.config
  const file = path === '' ? NO_FILE : readFlagFile(path, fileFlags)
  if (!file.ok) return { kind: 'usage', problem: file.problem, text: first.usage }
  const parsed = parseFlags(argv, flags, { ...file.values, ...commandsOf(env) })
  if (!parsed.ok) return { kind: 'usage', problem: parsed.problem, text: parsed.usage }
  const problems = problemsOf(parsed.values)
  if (problems.length > 0) return { kind: 'usage', problem: problems.join('; '), text: parsed.usage }
  return { kind: 'run', config: toConfig(parsed.values, env) }
}

/** The JSON Schema of the file that `-config` names. */
export function configSchema(): object {
  return flagFileSchema(fileFlags, 'Configuration file of envd: flags by their names')
}

function commandsOf(env: Environment): Record<string, string> {
  const commands = { 'start-cmd': env['ENVD_START_CMD'], 'ready-cmd': env['ENVD_READY_CMD'] }
  return Object.fromEntries(Object.entries(commands).flatMap(([name, text]) => (text ? [[name, text]] : [])))
}

type Given = FlagValues<typeof flags>

function problemsOf(given: Given): string[] {
  const seconds = (name: 'ready-timeout' | 'ready-attempt-timeout') =>
    given[name] > 0 && given[name] <= MAX_READY_SECONDS
      ? ''
      : `${name} must be 1 to ${MAX_READY_SECONDS}, got ${given[name]}`
  const badName = Object.keys(given['start-env']).find((name) => name === '' || /[=\0]/.test(name))
  return [
    given.port >= 0 && given.port <= 65535 ? '' : `port must be 0 to 65535, got ${given.port}`,
    given.address === 'localhost' || isIP(given.address) !== 0
      ? ''
      : `address must be an IP address or localhost, got ${given.address}`,
    forwardProblem(given['forward-address']),
    given['output-window'] >= 0 ? '' : `output-window must not be negative, got ${given['output-window']}`,
    given['reader-stall'] > 0 ? '' : `reader-stall must be positive, got ${given['reader-stall']}`,
    seconds('ready-timeout'),
    seconds('ready-attempt-timeout'),
    badName === undefined ? '' : `start-env: "${badName}" is no name of a variable`,
  ].filter((text) => text !== '')
}

function toConfig(given: Given, env: Environment): Config {
  return {
    port: given.port,
    address: given.address,
    notFirecracker: given.isnotfc,
    verbose: given.verbose,
    noCgroups: given['no-cgroups'],
    cgroupRoot: given['cgroup-root'],
    killOnExit: given['kill-on-exit'],
    defaultUser: given['default-user'],
    defaultWorkdir: given['default-workdir'] || undefined,
    defaultHome: given['default-home'] || undefined,
    outputWindow: given['output-window'],
    readerStall: given['reader-stall'] * 1000,
    runDir: given['run-dir'],
    path: commandPath(env),
    home: env['HOME'] || '/',
    noFile: positiveInteger(env['ENVD_NOFILE']),
    supervisor: toSupervisorConfig(given),
    forward: toForwardConfig(given['forward-address']),
  }
}

/** Forwards listen beside the listeners that they stand for, so their address must be another one. */
function forwardProblem(given: string): string {
  const family = isIP(given)
  if (given === '' || given === 'off') return ''
  if (family === 0) return `forward-address must be an IP address or off, got ${given}`
  const address = canonical(given)
  const unfit = ['0.0.0.0', '127.0.0.1', '::', '::1'].includes(address) || address.startsWith('::ffff:')
  return unfit ? `forward-address must be the address of an interface other than loopback, got ${given}` : ''
}

function toForwardConfig(given: string): ForwardConfig | undefined {
  if (given === 'off') return undefined
  if (given === '') return { address: DEFAULT_FORWARD_ADDRESS, explicit: false }
  return { address: canonical(given), explicit: true }
}

/** An IP address as the system writes it. */
function canonical(address: string): string {
  return new SocketAddress({ address, family: isIP(address) === 6 ? 'ipv6' : 'ipv4' }).address
}

function toSupervisorConfig(given: Given): SupervisorConfig {
  const env = given['start-env']
  const identified = given['start-user'] !== '' || given['default-user'] !== '' || Object.keys(env).length > 0
  return {
    startCommand: given['start-cmd'] || undefined,
    readyCommand: given['ready-cmd'] || undefined,
    user: given['start-user'] || undefined,
    workdir: given['start-workdir'] || undefined,
    env,
    restart: given.restart,
    readyTimeout: given['ready-timeout'] * 1000,
    readyAttemptTimeout: given['ready-attempt-timeout'] * 1000,
    afterInit: !given.isnotfc && !identified,
  }
}

/** `readConfig` with this process's own environment: the one place where it is read. */
export function readCommand(argv: readonly string[]): Command {
  return readConfig(argv, process.env)
}

/** The daemon's PATH without what npm put in front of it: a command must not find the daemon's own tools. */
function commandPath(env: Environment): string {
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
