import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { daemonPid } from './daemon-process.ts'

/**
 * A daemon of its own process, as a user starts it. Disposing stops it and fails if it had ended by itself or logged a
 * failure outside any call.
 */
export interface Daemon extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string
  readonly port: number
  /** Of the daemon itself at the moment (`daemonPid`). */
  readonly pid: number
  /** Of what the launcher has become: the keeper, or the daemon where there is none. To kill it kills both. */
  readonly launched: number
  /** What it wrote so far; log lines go to stdout. */
  stdout(): string
  stderr(): string
  /** SIGTERM, then waits for the end; gives the exit code. Idempotent. */
  stop(): Promise<number>
  /** Settles when it has ended: the exit code, or as in a shell 128 and the number of the signal that killed it. */
  readonly ended: Promise<number>
  /** Throws if it has ended by itself, or has logged a failure outside any call. */
  check(): void
}

export interface DaemonOptions {
  /** More flags, after the test's own: the last of a name counts. */
  readonly args?: readonly string[]
  /** Added to a clean environment of PATH and HOME. */
  readonly env?: Readonly<Record<string, string>>
  /** Default: a free one. */
  readonly port?: number
  /** The words of the command line before the daemon's flags; default: `scripts/envd`. */
  readonly launch?: readonly [string, ...string[]]
  /** The test ends the daemon itself, and the keeper starts it again; in all other tests that is a crash. */
  readonly restarts?: boolean
  /** Uid to run the daemon as; default: who runs the test. */
  readonly uid?: number
}

const launcher = fileURLToPath(new URL('../../scripts/envd', import.meta.url))
/** Far above the start-up time, so that only a daemon that hangs runs into it. */
const START_LIMIT_MS = 20_000
/** The daemon promises to end within 5 s of SIGTERM; the rest is for a busy machine. */
const STOP_LIMIT_MS = 20_000

/**
 * Starts `scripts/envd` (built before by `scripts/ready`) and resolves once it listens. Rejects with its output if it
 * does not. It is not in a microVM, and so asks for no metadata service, unless the arguments say `-isnotfc=false`.
 */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const runDir = await mkdtemp(join(tmpdir(), 'envd-run-'))
  const own = [
    '-port',
    String(options.port ?? 0),
    '-address',
    '127.0.0.1',
    '-run-dir',
    runDir,
    '-upload-dir',
    join(runDir, 'uploads'),
    '-kill-on-exit',
    '-isnotfc',
  ]
  const [program, ...words] = options.launch ?? [launcher]
  const child = spawn(program, [...words, ...own, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  const output = collect(child)
  const ended = exitOf(child).finally(() => rm(runDir, { recursive: true, force: true }))
  const url = await listening(child, output, ended)
  let asked = false
  const hasFailed = () => {
    const crashed = !asked && (child.exitCode !== null || child.signalCode !== null)
    const restarted = output.stdout.includes('started again after an unexpected end')
    const surprised = output.stdout.includes('unexpected failure outside any call')
    return crashed || surprised || (restarted && options.restarts !== true)
  }
  const stop = async () => {
    asked = true
    child.kill('SIGTERM')
    const killer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
    return ended.finally(() => clearTimeout(killer))
  }
  return {
    url,
    port: Number(new URL(url).port),
    get pid() {
      return daemonPid(child.pid ?? 0)
    },
    launched: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    ended,
    stop,
    check() {
      if (hasFailed()) throw new Error(`the daemon failed\n${output.stdout}\n${output.stderr}`)
    },
    async [Symbol.asyncDispose]() {
      const failed = hasFailed()
      const code = await stop()
      if (failed || hasFailed() || code !== 0)
        throw new Error(`the daemon ended with ${code}\n${output.stdout}\n${output.stderr}`)
    },
  }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  return output
}

async function exitOf(child: ChildProcess): Promise<number> {
  const [code, signal] = await once(child, 'close')
  return typeof code === 'number' ? code : 128 + constants.signals[signal as NodeJS.Signals]
}

async function listening(
  child: ChildProcess,
  output: { stdout: string; stderr: string },
  ended: Promise<number>,
): Promise<string> {
  const line = new Promise<string>((resolve) => {
    const look = () => {
      const url = /listening on (http:\/\/\S+)/.exec(output.stdout)?.[1]
      if (url === undefined) return
      child.stdout?.off('data', look)
      resolve(url)
    }
    child.stdout?.on('data', look)
  })
  const killer = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS)
  const early = ended.then((code) => {
    throw new Error(`the daemon ended with ${code} before it listened\n${output.stdout}\n${output.stderr}`)
  })
  early.catch(() => {})
  return Promise.race([line, early]).finally(() => clearTimeout(killer))
}
