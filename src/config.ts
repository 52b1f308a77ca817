import { fileFlags, flags, type Given } from './config/flags.ts'
import { canonical, problemsOf } from './config/problems.ts'
import { readServices, servicesSchema } from './config/services.ts'
import { type SupervisorConfig, toSupervisorConfig } from './config/supervisor.ts'
import { type FlagFile, flagFileSchema, readFlagFile } from './lib/flag-file.ts'
import { parseFlags } from './lib/flags.ts'

/** Everything that can be set from outside, validated; read once, by `main.ts`. Tests build it with `readConfig`. */
export interface Config {
  /** TCP port; 0 takes a free one. */
  readonly port: number
  /** Listening address: `::` (all, both families), `localhost` (both loopback addresses), or one address. */
  readonly address: string
  /** Not in a Firecracker microVM: no metadata service, no log export. */
  readonly notFirecracker: boolean
  /** File of the access token to start with. */
  readonly accessTokenFile: string | undefined
  /** Origins of web pages, and host names (`*.NAME`: all below it), that are let in while no token is set. */
  readonly allowOrigins: readonly string[]
  readonly allowHosts: readonly string[]
  readonly verbose: boolean
  /** The page at `/console` is served. */
  readonly console: boolean
  readonly noCgroups: boolean
  /** Clients of `ports.Ports` are sent the arguments of processes. */
  readonly portArguments: boolean
  readonly cgroupRoot: string
  /** Milliseconds that the exit of a command is kept. */
  readonly keepExits: number
  /** Of archives that are unpacked: entries, bytes, and growth of compressed ones. */
  readonly archiveLimits: { readonly entries: number; readonly bytes: number; readonly ratio: number }
  /** Of resumable uploads: the directory of their records, and bytes that unfinished ones may have in sum. */
  readonly uploads: { readonly dir: string; readonly maxBytes: number }
  /** End every command at shutdown instead of leaving it to init. */
  readonly killOnExit: boolean
  readonly defaultUser: string
  readonly defaultWorkdir: string | undefined
  /** Home of the default user in the place of the one in /etc/passwd. */
  readonly defaultHome: string | undefined
  /** Streams of output can be resumed where they were cut. */
  readonly outputResume: boolean
  /** Bytes of recent output kept over all commands together. */
  readonly outputWindow: number
  /** Milliseconds after which a reader that takes no output, while some waits, is ended. */
  readonly readerStall: number
  /** Milliseconds after which a client that sends no more of its request is given up. */
  readonly bodyStall: number
  /** Directory of `.E2B_SANDBOX` and its like. */
  readonly runDir: string
  /** File calls of other users than root have those users' own rights. */
  readonly strictFileUsers: boolean
  /** PATH of commands. */
  readonly path: string
  /** Home of the daemon's own user where /etc/passwd does not know it. */
  readonly home: string
  /** Soft limit of open files for commands; undefined: as the daemon's. */
  readonly noFile: number | undefined
  /** The descriptor at whose other end the keeper is (`src/keeper`); undefined: there is none. */
  readonly keeper: number | undefined
  /** What is kept running: `start`, and the services of the file; each comes after those that it waits for. */
  readonly services: readonly SupervisorConfig[]
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

/** What the command line asks for. */
type Invocation =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'version' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'capabilities' | 'self-test'; readonly config: Config }
  | { readonly kind: 'usage'; readonly problem: string; readonly text: string }

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

const NO_FILE: FlagFile = { ok: true, values: {}, others: {} }

/** Where the platform's proxy looks for the ports of a sandbox (contract G2). */
const DEFAULT_FORWARD_ADDRESS = '169.254.0.21'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads flags (Go style, contract A1), environment and the file that `-config` names, in this order of weight. Lists
 * every problem at once.
 * @param env PATH; ENVD_START_CMD, ENVD_READY_CMD and ENVD_ACCESS_TOKEN_FILE; ENVD_NOFILE, the soft limit of open files
 * that the launcher found; ENVD_KEEPER, the descriptor of the keeper; npm_lifecycle_event.
 */
export function readConfig(argv: readonly string[], env: Environment): Invocation {
  const first = parseFlags(argv, flags)
  if (!first.ok) return { kind: 'usage', problem: first.problem, text: first.usage }
  if (first.values.version) return { kind: 'version' }
  if (first.values.commit) return { kind: 'commit' }
  const path = first.values.config
  const file = path === '' ? NO_FILE : readFlagFile(path, fileFlags, ['services'])
  if (!file.ok) return { kind: 'usage', problem: file.problem, text: first.usage }
  const parsed = parseFlags(argv, flags, { ...file.values, ...presetOf(env) })
  if (!parsed.ok) return { kind: 'usage', problem: parsed.problem, text: parsed.usage }
  const problems = problemsOf(parsed.values)
  if (problems.length > 0) return { kind: 'usage', problem: problems.join('; '), text: parsed.usage }
  const services = readServices(file.others['services'] ?? [], toSupervisorConfig(parsed.values))
  if (!services.ok) return { kind: 'usage', problem: `config file ${path}: ${services.problem}`, text: parsed.usage }
  const config = { ...toConfig(parsed.values, env), services: services.services }
  if (parsed.values['self-test']) return { kind: 'self-test', config }
  return { kind: parsed.values.capabilities ? 'capabilities' : 'run', config }
}

/** The JSON Schema of the file that `-config` names. */
export function configSchema(): object {
  const title = 'Configuration file of envd: flags by their names'
  return flagFileSchema(fileFlags, title, { services: servicesSchema() })
}

function presetOf(env: Environment): Record<string, string> {
  const values = {
    'start-cmd': env['ENVD_START_CMD'],
    'ready-cmd': env['ENVD_READY_CMD'],
    'access-token-file': env['ENVD_ACCESS_TOKEN_FILE'],
  }
  return Object.fromEntries(Object.entries(values).flatMap(([name, text]) => (text ? [[name, text]] : [])))
}

function toConfig(given: Given, env: Environment): Omit<Config, 'services'> {
  return {
    port: given.port,
    address: given.address,
    notFirecracker: given.isnotfc,
    accessTokenFile: given['access-token-file'] || undefined,
    allowOrigins: given['allow-origin'],
    allowHosts: given['allow-host'],
    verbose: given.verbose,
    console: given.console === 'on',
    noCgroups: given['no-cgroups'],
    portArguments: !given['no-port-arguments'],
    cgroupRoot: given['cgroup-root'],
    keepExits: given['keep-exits'] * 1000,
    archiveLimits: {
      entries: given['archive-max-entries'],
      bytes: given['archive-max-bytes'],
      ratio: given['archive-max-ratio'],
    },
    uploads: { dir: given['upload-dir'], maxBytes: given['upload-max-bytes'] },
    killOnExit: given['kill-on-exit'],
    defaultUser: given['default-user'],
    defaultWorkdir: given['default-workdir'] || undefined,
    defaultHome: given['default-home'] || undefined,
    outputResume: given['output-resume'],
    outputWindow: given['output-window'],
    readerStall: given['reader-stall'] * 1000,
    bodyStall: given['body-stall'] * 1000,
    runDir: given['run-dir'],
    strictFileUsers: given['strict-file-users'],
    path: commandPath(env),
    home: env['HOME'] || '/',
    noFile: positiveInteger(env['ENVD_NOFILE']),
    keeper: given['no-keeper'] ? undefined : positiveInteger(env['ENVD_KEEPER']),
    forward: toForwardConfig(given['forward-address']),
  }
}

function toForwardConfig(given: string): ForwardConfig | undefined {
  if (given === 'off') return undefined
  if (given === '') return { address: DEFAULT_FORWARD_ADDRESS, explicit: false }
  return { address: canonical(given), explicit: true }
}

/** `readConfig` with this process's own environment: the one place where it is read. */
export function readInvocation(argv: readonly string[]): Invocation {
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
