import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { AllowedNames } from '../../src/http/access/trusted-names.ts'

/** A line of a daemon's log, as it was written. */
export interface LogLine {
  readonly timestamp: string
  /** JSON with a `level`. */
  readonly line: string
}

/** One sandbox's daemon. `kill` must be called at the end. */
export interface LocalDaemon {
  readonly url: string
  readonly port: number
  /** Settles when it has ended, asked or not. */
  readonly ended: Promise<void>
  /** The newest lines, oldest first. */
  logs(): readonly LogLine[]
  /** Stops the daemon and every process below it where they stand; `resume` lets them go on. */
  pause(): Promise<void>
  resume(): Promise<void>
  /** Ends it and every process below it where they stand, as the end of a virtual machine does. Idempotent. */
  kill(): Promise<void>
}

/** Where it lives, and who its default user is. */
export interface LocalDaemonOptions {
  readonly user: string
  readonly home: string
  /** The directory at which it and its processes find `home`, by a mount of their own; undefined: nowhere else. */
  readonly mountedAt: string | undefined
  readonly runDir: string
  /** Names that it trusts beside loopback while it has no token. */
  readonly allowed: AllowedNames
}

/** Mounts the first argument at the second, and becomes the others. */
const MOUNTED = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'

const launcher = fileURLToPath(new URL('../envd', import.meta.url))
/** Lines kept for `logs`; an hour of an idle sandbox, or the last minutes of a busy one. */
const KEPT_LINES = 1000

/** Starts a daemon on a free port and waits until it listens. Rejects when it does not. */
export async function startLocalDaemon(options: LocalDaemonOptions): Promise<LocalDaemon> {
  const { user, home, mountedAt, runDir, allowed } = options
  const flags = ['-isnotfc', '-verbose', '-kill-on-exit', '-no-cgroups', '-port', '0', '-address', '127.0.0.1']
  const places = ['-run-dir', runDir, '-default-user', user, '-default-home', mountedAt ?? home]
  const origins = allowed.origins.flatMap((origin) => ['-allow-origin', origin])
  const hosts = allowed.hosts.flatMap((host) => ['-allow-host', host])
  const command = [launcher, ...flags, ...places, ...origins, ...hosts]
  const child = spawnDaemon(mountedAt === undefined ? command : [...inNamespace, home, mountedAt, ...command])
  const ended = once(child, 'exit').then(() => {})
  const lines: LogLine[] = []
  const url = await listening(child, lines)
  const pid = child.pid ?? 0
  return {
    url,
    port: Number(new URL(url).port),
    ended,
    logs: () => lines,
    pause: async () => void (await signalTree(pid, 'SIGSTOP')),
    resume: async () => void (await signalTree(pid, 'SIGCONT')),
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      // Those that are stopped make no more, so that none escapes.
      const tree = await signalTree(pid, 'SIGSTOP')
      for (const process of tree) signal(process, 'SIGKILL')
      await ended
    },
  }
}

/** A mount namespace, with nothing that others see. */
const inNamespace = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', MOUNTED, 'sh']

/** Whether this process may give sandboxes mounts of their own. */
export async function canMount(): Promise<boolean> {
  const [file = '', ...rest] = inNamespace
  const child = spawn(file, [...rest, '/', '/', 'true'], { stdio: 'ignore' })
  return new Promise((resolve) => {
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}

function spawnDaemon([file = '', ...args]: readonly string[]): ChildProcess {
  return spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] })
}

function listening(child: ChildProcess, lines: LogLine[]): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`the daemon ended with ${code}`)))
    if (child.stdout === null) return
    createInterface(child.stdout).on('line', (line) => {
      const url = /^listening on (\S+)$/.exec(line)?.[1]
      if (url !== undefined) resolve(url)
      const timestamp = /"timestamp":"([^"]+)"/.exec(line)?.[1]
      if (timestamp !== undefined) lines.push({ timestamp, line })
      if (lines.length > KEPT_LINES) lines.shift()
    })
  })
}

/**
 * From the root down, again until no new process turns up: one that is stopped makes no more. Returns all that it
 * found.
 */
async function signalTree(root: number, name: 'SIGSTOP' | 'SIGCONT'): Promise<Iterable<number>> {
  const reached = new Set<number>()
  for (;;) {
    const fresh = (await treeOf(root)).filter((pid) => !reached.has(pid))
    if (fresh.length === 0) return reached
    for (const pid of fresh) {
      reached.add(pid)
      signal(pid, name)
    }
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}

async function treeOf(root: number): Promise<number[]> {
  const parents = new Map<number, number>()
  for (const name of await readdir('/proc')) {
    const stat = /^\d+$/.test(name) ? await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '') : ''
    // The name of a program may contain anything, also spaces and brackets.
    const parent = /^ \S (\d+)/.exec(stat.slice(stat.lastIndexOf(')') + 1))?.[1]
    if (parent !== undefined) parents.set(Number(name), Number(parent))
  }
  const below = (pid: number): number[] => [
    pid,
    ...[...parents].filter(([, parent]) => parent === pid).flatMap(([child]) => below(child)),
  ]
  return parents.has(root) ? below(root) : []
}
