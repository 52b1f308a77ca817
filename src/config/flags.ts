import type { FlagValues } from '../lib/flags.ts'

/** Where cgroups of version 2 are mounted, if they are (cgroups(7)). */
export const DEFAULT_CGROUP_ROOT = '/sys/fs/cgroup'

/** What `-restart` can be. */
export const RESTART_MODES = ['never', 'on-failure', 'always'] as const

/** What `-console` can be. */
const CONSOLE_MODES = ['on', 'off'] as const

/** What `-leftover` can be. */
export const LEFTOVER_MODES = ['adopt', 'end'] as const

/** Every flag: its type, what it is when not given, and its line of the usage text. */
export const flags = {
  'access-token-file': {
    type: 'string',
    default: '',
    help: 'file of the access token, read at start (or ENVD_ACCESS_TOKEN_FILE)',
  },
  address: {
    type: 'string',
    default: '::',
    help: 'listening address: an IP address, or "localhost" for loopback only',
  },
  'allow-host': {
    type: 'list',
    default: [],
    help: 'host name, or *.NAME for all below it, that requests may be sent to while no token is set; may be repeated',
  },
  'allow-origin': {
    type: 'list',
    default: [],
    help: 'origin of web pages that may send requests while no token is set, as https://app.example; may be repeated',
  },
  'archive-max-bytes': {
    type: 'int',
    default: 64 * 1024 ** 3,
    help: 'bytes of all files in an archive that is unpacked, holes included',
  },
  'archive-max-entries': { type: 'int', default: 1_000_000, help: 'entries of an archive that is unpacked' },
  'archive-max-ratio': {
    type: 'int',
    default: 250,
    help: 'how many times its size a compressed archive may grow, beyond 16 MiB',
  },
  'body-stall': {
    type: 'int',
    default: 60,
    help: 'seconds after which a client that sends no more of its request is given up',
  },
  capabilities: {
    type: 'bool',
    default: false,
    help: 'print what the daemon that runs with this address and port serves, as JSON',
  },
  'cgroup-root': { type: 'string', default: DEFAULT_CGROUP_ROOT, help: 'cgroup root directory' },
  commit: { type: 'bool', default: false, help: 'print the commit this was built from' },
  config: { type: 'string', default: '', help: 'JSON file of flags by name; the command line wins' },
  console: {
    type: 'string',
    default: 'on',
    choices: CONSOLE_MODES,
    help: 'whether the page that shows and drives the sandbox is served at /console: on or off',
  },
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
  'keep-exits': {
    type: 'int',
    default: 600,
    help: 'seconds that the exit of a command is kept, with the end of its output',
  },
  'kill-on-exit': { type: 'bool', default: false, help: 'end every command when the daemon stops' },
  leftover: {
    type: 'string',
    default: 'adopt',
    choices: LEFTOVER_MODES,
    help: 'what to do with a start command that lives since an earlier daemon: adopt it, or end it and start anew',
  },
  'live-cmd': {
    type: 'string',
    default: '',
    help: 'command that is repeated once the sandbox is ready, and fails when it is not any more (default: the ready command)',
  },
  'live-failures': {
    type: 'int',
    default: 3,
    help: 'failures of the live command in a row after which the start command is started again, if -restart says so',
  },
  'live-interval': {
    type: 'int',
    default: 5,
    help: 'seconds between two runs of the live command; 0: it is not run',
  },
  'live-timeout': { type: 'int', default: 10, help: 'seconds for one run of the live command' },
  'no-cgroups': { type: 'bool', default: false, help: 'do not use cgroups' },
  'no-keeper': {
    type: 'bool',
    default: false,
    help: 'start the daemon without the parent process that starts it again when it ends unexpectedly',
  },
  'no-port-arguments': {
    type: 'bool',
    default: false,
    help: 'do not send the arguments of the processes that listen on ports',
  },
  'output-resume': {
    type: 'bool',
    default: true,
    help: 'streams of output can be resumed where they were cut',
  },
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
  'self-test': {
    type: 'bool',
    default: false,
    help: 'start on a port of its own, answer one call, print what it is as JSON, and exit',
  },
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
  'strict-file-users': {
    type: 'bool',
    default: false,
    help: 'file calls have the rights of their user, not those of the daemon',
  },
  'upload-dir': {
    type: 'string',
    default: '/var/lib/envd/uploads',
    help: 'directory of the records of unfinished resumable uploads',
  },
  'upload-max-bytes': {
    type: 'int',
    default: 128 * 1024 ** 3,
    help: 'bytes that unfinished resumable uploads may have in sum; one user may have half of them',
  },
  verbose: { type: 'bool', default: false, help: 'write all log lines to standard output' },
  version: { type: 'bool', default: false, help: 'print the compatibility version' },
} as const

/** The value of each flag, as given or by default. */
export type Given = FlagValues<typeof flags>

/** Flags that ask for something else than to run, or say where the file is: they have no place in it. */
const COMMAND_LINE_ONLY = new Set(['capabilities', 'commit', 'config', 'no-keeper', 'resume-handover', 'version'])

/** The flags that a file may have. */
export const fileFlags = Object.fromEntries(Object.entries(flags).filter(([name]) => !COMMAND_LINE_ONLY.has(name)))
